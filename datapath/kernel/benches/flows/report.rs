//! What was measured, as text or JSON.

/// Samples of one thing.
pub struct Series {
    pub name: String,
    pub unit: &'static str,
    pub samples: Vec<f64>,
}

impl Series {
    pub fn new(name: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Series {
        Series {
            name: name.into(),
            unit,
            samples,
        }
    }

    pub fn median(&self) -> f64 {
        median(&self.samples)
    }
}

pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// All series, and sentences about them.
#[derive(Default)]
pub struct Report {
    pub series: Vec<Series>,
    pub notes: Vec<String>,
}

impl Report {
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub fn json(&self) -> String {
        let series: Vec<_> = self
            .series
            .iter()
            .map(|s| serde_json::json!({"name": s.name, "unit": s.unit, "samples": s.samples}))
            .collect();
        serde_json::json!({"series": series, "notes": self.notes}).to_string()
    }

    pub fn print(&self) {
        for series in &self.series {
            let bounds = series
                .samples
                .iter()
                .fold((f64::INFINITY, 0f64), |(lo, hi), s| {
                    (lo.min(*s), hi.max(*s))
                });
            println!(
                "  {:<44} {:>10.1} {} ({:.1}-{:.1})",
                series.name,
                series.median(),
                series.unit,
                bounds.0,
                bounds.1
            );
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }
}
