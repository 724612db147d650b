//! Times as log lines show them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A point in time, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    year: u64,
    /// From 1 on.
    month: u64,
    day: u64,
    second_of_day: u64,
    milliseconds: u32,
}

impl Time {
    /// Takes a time apart; those before 1970 become its start.
    pub fn of(time: SystemTime) -> Time {
        Time::after(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// A time after the start of 1970, by the proleptic Gregorian calendar.
    fn after(start: Duration) -> Time {
        let days = start.as_secs() / DAY_SECONDS;
        // Years that begin in March have the leap day at their end.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Time {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            second_of_day: start.as_secs() % DAY_SECONDS,
            milliseconds: start.subsec_millis(),
        }
    }

    fn clock(&self) -> String {
        let second = self.second_of_day;
        format!(
            "{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }

    /// `2026-11-22T15:04:05Z`.
    pub fn seconds(&self) -> String {
        let Time {
            year, month, day, ..
        } = self;
        format!("{year:04}-{month:02}-{day:02}T{}Z", self.clock())
    }

    /// `2026-11-22T15:04:05.678Z`.
    pub fn milliseconds(&self) -> String {
        let text = self.seconds();
        let whole = text.trim_end_matches('Z');
        format!("{whole}.{:03}Z", self.milliseconds)
    }

    /// `Nov 22 15:04:05` (RFC 3164 §4.1.2).
    pub fn syslog(&self) -> String {
        let month = usize::try_from(self.month).unwrap_or_default();
        let month = MONTHS.get(month.wrapping_sub(1)).unwrap_or(&"Jan");
        format!("{month} {:>2} {}", self.day, self.clock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_right() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z", "Jan  1 00:00:00"),
            (
                951_782_399_001,
                "2000-02-28T23:59:59.001Z",
                "Feb 28 23:59:59",
            ),
            (
                951_782_400_000,
                "2000-02-29T00:00:00.000Z",
                "Feb 29 00:00:00",
            ),
            (
                4_107_542_400_000,
                "2100-03-01T00:00:00.000Z",
                "Mar  1 00:00:00",
            ),
            (
                1_795_361_867_123,
                "2026-11-22T15:37:47.123Z",
                "Nov 22 15:37:47",
            ),
        ];
        for (milliseconds, file, syslog) in cases {
            let time = Time::of(UNIX_EPOCH + Duration::from_millis(milliseconds));
            assert_eq!(
                (time.milliseconds().as_str(), time.syslog().as_str()),
                (file, syslog)
            );
        }
    }
}
