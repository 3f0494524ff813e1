//! The `Date` header: a moment as IMF-fixdate, the one form that HTTP still writes.

use std::time::{SystemTime, UNIX_EPOCH};

/// `time` such as `Sun, 06 Nov 1994 08:49:37 GMT`. A clock before 1970 gives 1970.
pub(super) fn imf_fixdate(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    // 1970-01-01 was a Thursday.
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let weekday = weekday.get((days % 7) as usize).unwrap_or(&"Thu");
    let (year, month, day) = civil(days);
    let month = MONTHS.get(month).unwrap_or(&"Mar");
    let (hour, minute, second) = (
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    );
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// From March, so that the leap day is the last of its year.
const MONTHS: [&str; 12] = [
    "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb",
];

/// Year, month counted from March = 0, and day of the month, of a number of days since 1970-01-01.
fn civil(days: u64) -> (u64, usize, u64) {
    // Days since 0000-03-01, in cycles of 400 years, which all have 146 097 days.
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Five months from March have 153 days, whichever five: 31, 30, 31, 30, 31.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = cycle * 400 + year_of_cycle + u64::from(month >= 10);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::imf_fixdate;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    #[test]
    fn known_moments() {
        // Expected values: `date -u -R -d @SECONDS`.
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(imf_fixdate(time), expected);
        }
    }

    #[test]
    fn a_clock_before_1970_is_no_reason_to_fail() {
        let time: SystemTime = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(imf_fixdate(time), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn each_day_follows_the_day_before() {
        // Four centuries: the day of the month is one more than yesterday's, or 1 after a month's full length.
        let day = |n: u64| super::civil(n);
        for n in 0..146_097 {
            let ((year, month, today), (next_year, next_month, tomorrow)) = (day(n), day(n + 1));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                1 | 3 | 6 | 8 => 30,
                11 => 28 + u64::from(leap),
                _ => 31,
            };
            if today < length {
                assert_eq!((next_year, next_month, tomorrow), (year, month, today + 1));
            } else {
                assert_eq!((next_month, tomorrow), ((month + 1) % 12, 1));
                assert_eq!(next_year, year + u64::from(month == 9));
            }
        }
    }
}
