//! What is stored. `Session` and `Twin` are laid out alike, so that an optimizer may merge what is made for them.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Default)]
pub struct Session {
    pub id: u64,
    pub seen: u64,
    pub user: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Default)]
pub struct Twin {
    pub id: u64,
    pub seen: u64,
    pub user: u64,
}

#[expect(dead_code, reason = "only stored")]
pub trait Kept {
    fn id(&self) -> u64;
}

impl Kept for Session {
    fn id(&self) -> u64 {
        self.id
    }
}

impl Kept for Twin {
    fn id(&self) -> u64 {
        self.id
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only stored")]
pub struct Order {
    pub name: String,
    pub lines: Vec<Session>,
}
