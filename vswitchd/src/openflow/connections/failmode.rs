//! When a bridge without its controllers begins to switch by itself. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How many times as long as a controller may be silent it may be away.
const PATIENCE: u32 = 3;
/// How long a controller that is never asked for a sign of life may be silent.
const USUAL_PROBE: Duration = Duration::from_secs(5);

/// What a bridge is configured for, and how its controllers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// There are controllers, and the bridge may do without them (`fail_mode` isn't `secure`).
    pub standalone: bool,
    /// At least one controller is connected.
    pub connected: bool,
    /// The longest silence that a controller is granted.
    pub probe: Option<Duration>,
}

/// The state of one bridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailMode {
    /// A controller is connected, or none is needed.
    #[default]
    Normal,
    /// None has been connected since then.
    Waiting(Instant),
    /// The bridge switches by itself.
    Open,
}

impl FailMode {
    /// The state that follows.
    #[must_use]
    pub fn next(self, situation: &Situation, now: Instant) -> FailMode {
        if !situation.standalone || situation.connected {
            return FailMode::Normal;
        }
        match self {
            FailMode::Normal => FailMode::Waiting(now),
            FailMode::Waiting(since) if now >= since + patience(situation) => FailMode::Open,
            same => same,
        }
    }

    /// When the state changes if nothing else does.
    pub fn due(self, situation: &Situation) -> Option<Instant> {
        match self {
            FailMode::Waiting(since) => Some(since + patience(situation)),
            FailMode::Normal | FailMode::Open => None,
        }
    }

    /// Whether the bridge switches by itself.
    pub fn is_open(self) -> bool {
        self == FailMode::Open
    }
}

/// How long controllers may be away.
pub fn patience(situation: &Situation) -> Duration {
    situation.probe.unwrap_or(USUAL_PROBE) * PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWAY: Situation = Situation {
        standalone: true,
        connected: false,
        probe: Some(Duration::from_secs(2)),
    };
    const THERE: Situation = Situation {
        connected: true,
        ..AWAY
    };
    const SECURE: Situation = Situation {
        standalone: false,
        ..AWAY
    };

    #[test]
    fn every_state_in_every_situation() {
        let start = Instant::now();
        let late = start + Duration::from_secs(6);
        let waiting = FailMode::Waiting(start);
        for (state, situation, now, next) in [
            (FailMode::Normal, THERE, start, FailMode::Normal),
            (FailMode::Normal, SECURE, start, FailMode::Normal),
            (FailMode::Normal, AWAY, start, waiting),
            (waiting, AWAY, late - Duration::from_millis(1), waiting),
            (waiting, AWAY, late, FailMode::Open),
            (waiting, THERE, late, FailMode::Normal),
            (waiting, SECURE, late, FailMode::Normal),
            (FailMode::Open, AWAY, late, FailMode::Open),
            (FailMode::Open, THERE, late, FailMode::Normal),
            (FailMode::Open, SECURE, late, FailMode::Normal),
        ] {
            assert_eq!(state.next(&situation, now), next, "{state:?} {situation:?}");
        }
        assert_eq!(waiting.due(&AWAY), Some(late));
        assert_eq!(FailMode::Open.due(&AWAY), None);
        assert_eq!(FailMode::Normal.due(&AWAY), None);
    }

    #[test]
    fn controllers_that_are_never_asked_may_be_away_for_as_long_as_usual() {
        let situation = Situation {
            probe: None,
            ..AWAY
        };
        assert_eq!(patience(&situation), Duration::from_secs(15));
    }
}
