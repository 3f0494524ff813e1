// What the server is asked for: profiles as JSON, one at a time, and the marks, which are answers that the page keeps.

const MOST_MARKS = 8, MARK_MS = 3600000;

class Refused extends Error {}

class Ask {
  constructor() {
    this.marks = [];
    this.running = null;
  }

  // The answer to a relative address; the one before it is not waited for any more.
  async json(address) {
    if (this.running) this.running.abort();
    const mine = this.running = new AbortController();
    let answer;
    try {
      answer = await fetch(`../${address}`, { cache: "no-store", signal: mine.signal });
      if (answer.ok) return await answer.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(answer ? "The answer ended before it was whole." : "The server does not answer. It may have ended, or the way to it is cut.");
    } finally {
      if (this.running === mine) this.running = null;
    }
    throw new Refused((await answer.text()).trim() || `The server answers with status ${answer.status}.`);
  }

  // Marks are of one address: what is compared was asked for in the same way.
  mark(address, answer) {
    this.marks.push({ id: `mark-${Date.now()}`, address, answer, time: Date.now() });
    this.expire();
  }

  expire() {
    this.marks = this.marks.filter((mark) => Date.now() - mark.time < MARK_MS).slice(-MOST_MARKS);
  }

  marksOf(address) {
    this.expire();
    return this.marks.filter((mark) => mark.address === address);
  }
}
