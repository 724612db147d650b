//! Moments as dates in UTC. Pure.

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    seconds_of_day: u64,
    milliseconds: u64,
    /// Since 1970.
    seconds: u64,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Date {
    /// The date of a moment in milliseconds since 1970.
    pub fn from_ms(ms: u64) -> Date {
        let seconds = ms / 1000;
        // Whole spans of 400 years, which are all equally long, first.
        let mut days = seconds / 86_400;
        let mut year = 1970 + days / 146_097 * 400;
        days %= 146_097;
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if days < length {
                break;
            }
            days -= length;
            year += 1;
        }
        let mut month = 1;
        while days >= days_of(year, month) {
            days -= days_of(year, month);
            month += 1;
        }
        Date {
            year,
            month,
            day: days + 1,
            seconds_of_day: seconds % 86_400,
            milliseconds: ms % 1000,
            seconds,
        }
    }

    /// The date by a template: those conversions of strftime(3) that logs use, and `###` for
    /// milliseconds. What isn't known stands for itself.
    pub fn format(&self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("###") {
                text += &format!("{:03}", self.milliseconds);
                rest = after;
                continue;
            }
            let Some(what) = rest.strip_prefix('%').and_then(|r| r.chars().next()) else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            };
            text += &self.conversion(what);
            rest = &rest[1 + what.len_utf8()..];
        }
        text
    }

    fn conversion(&self, what: char) -> String {
        let (hour, minute, second) = (
            self.seconds_of_day / 3600,
            self.seconds_of_day / 60 % 60,
            self.seconds_of_day % 60,
        );
        let name = MONTHS
            .get(self.month as usize - 1)
            .copied()
            .unwrap_or_default();
        match what {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:>2}", self.day),
            'b' | 'h' => name.to_owned(),
            'H' => format!("{hour:02}"),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            's' => self.seconds.to_string(),
            'Z' => "UTC".to_owned(),
            '%' => "%".to_owned(),
            other => format!("%{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_at_the_edges() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_399, "2000-02-28 23:59:59.000"),
            (951_782_400, "2000-02-29 00:00:00.000"),
            (4_107_542_399, "2100-02-28 23:59:59.000"),
            (4_107_542_400, "2100-03-01 00:00:00.000"),
            (12_622_780_800, "2370-01-01 00:00:00.000"),
            (1_798_761_599, "2026-12-31 23:59:59.000"),
        ] {
            let text = Date::from_ms(seconds * 1000).format("%Y-%m-%d %H:%M:%S.###");
            assert_eq!(text, date);
        }
        assert_eq!(
            Date::from_ms(5).format("%e|%q|100%|###é"),
            " 1|%q|100%|005é"
        );
    }
}
