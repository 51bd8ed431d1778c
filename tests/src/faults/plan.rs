//! What shall go wrong, as plain values with a text form that replays them.
//!
//! Pure. The fault layer asks [`Plan::strike`] for each call; the seeded dice make a storm that is
//! the same for the same seed and the same points.

use std::fmt;
use std::str::FromStr;

/// What happens to the call at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process dies before the call leaves it: the call never returns, nor does any later one.
    CrashBefore,
    /// The call is made and applied; the process dies before it sees the answer.
    CrashAfter,
    /// The call is made and applied; the caller sees a broken connection.
    Lost,
    /// Answered in place of the API server, which never sees the call.
    Refused {
        /// The HTTP status: 409, 410, 422, 429, 500, 503, 504.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// Accepted, never answered.
    Hang,
    /// Forwarded; reading the answer panics in the task that made the call.
    Panic,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashBefore => f.write_str("before"),
            Self::CrashAfter => f.write_str("after"),
            Self::Lost => f.write_str("lost"),
            Self::Refused {
                status,
                retry_after: None,
            } => write!(f, "refused:{status}"),
            Self::Refused {
                status,
                retry_after: Some(s),
            } => write!(f, "refused:{status}:{s}"),
            Self::Hang => f.write_str("hang"),
            Self::Panic => f.write_str("panic"),
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let unknown = || {
            format!(
                "must be before, after, lost, hang, panic or refused:STATUS[:SECONDS], is {text:?}"
            )
        };
        let number = |part: Option<&str>| part.map(str::parse::<u32>).transpose();
        match parts.next().unwrap_or_default() {
            "before" => Ok(Self::CrashBefore),
            "after" => Ok(Self::CrashAfter),
            "lost" => Ok(Self::Lost),
            "hang" => Ok(Self::Hang),
            "panic" => Ok(Self::Panic),
            "refused" => {
                let status = number(parts.next()).ok().flatten().ok_or_else(unknown)?;
                let retry_after = number(parts.next()).map_err(|_error| unknown())?;
                let status = u16::try_from(status).map_err(|_error| unknown())?;
                Ok(Self::Refused {
                    status,
                    retry_after,
                })
            }
            _ => Err(unknown()),
        }
    }
}

/// A fault at one point: `apply deployments/iris-H1 #1 after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The call, as [`super::Names`] names it.
    pub point: String,
    /// What happens to it.
    pub action: Action,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.point, self.action)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (point, action) = text
            .trim()
            .rsplit_once(' ')
            .ok_or_else(|| format!("must be POINT ACTION, is {text:?}"))?;
        Ok(Self {
            point: point.to_owned(),
            action: action.parse()?,
        })
    }
}

/// Chances in parts per thousand, each for any call but a watch; their sum is at most 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Answered 500 in place of the API server.
    pub internal: u16,
    /// Answered 503.
    pub unavailable: u16,
    /// Answered 504, although the call was applied.
    pub timeout: u16,
    /// Connection reset before the call was made.
    pub reset: u16,
    /// Answer lost after the call was applied.
    pub lost: u16,
}

/// Everything that shall go wrong with calls.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Faults at named points; each strikes once.
    pub faults: Vec<Fault>,
    /// From then on every call whose name begins so is struck: for an outage of one kind.
    pub always: Vec<Fault>,
    /// Random faults at every point, the same for the same seed.
    pub storm: Option<(u64, Rates)>,
}

/// What the layer is to do with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Forward it.
    None,
    /// As the plan says.
    Action(Action),
    /// A broken connection, and the API server never saw the call.
    Reset,
    /// 504 although the call was applied.
    LateTimeout,
}

impl Plan {
    /// One fault.
    #[must_use]
    pub fn one(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
            ..Self::default()
        }
    }

    /// What happens to the call `point`; a fault at that point is used up. A watch is never struck
    /// by a storm: watches have faults of their own.
    pub fn strike(&mut self, point: &str, watch: bool) -> Strike {
        if let Some(at) = self.faults.iter().position(|f| f.point == point) {
            return Strike::Action(self.faults.remove(at).action);
        }
        if let Some(fault) = self.always.iter().find(|f| point.starts_with(&f.point)) {
            return Strike::Action(fault.action);
        }
        match self.storm {
            Some((seed, rates)) if !watch => rates.roll(seed, point),
            _ => Strike::None,
        }
    }
}

impl Rates {
    fn roll(self, seed: u64, point: &str) -> Strike {
        let mut left = Dice::at(seed, point).below(1000);
        let refused = |status| {
            Strike::Action(Action::Refused {
                status,
                retry_after: None,
            })
        };
        for (rate, strike) in [
            (self.internal, refused(500)),
            (self.unavailable, refused(503)),
            (self.timeout, Strike::LateTimeout),
            (self.reset, Strike::Reset),
            (self.lost, Strike::Action(Action::Lost)),
        ] {
            if left < u64::from(rate) {
                return strike;
            }
            left = left.saturating_sub(u64::from(rate));
        }
        Strike::None
    }
}

/// Seeded random numbers (splitmix64): the same seed and text give the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for a seed at a named place.
    #[must_use]
    pub fn at(seed: u64, place: &str) -> Self {
        // FNV-1a: stable over releases of the standard library, unlike its hashers.
        let hash = place.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_prints_what_it_parses() {
        for text in [
            "apply deployments/iris-H1 #1 after",
            "apply deployments/iris-H1 #1 before",
            "create events/* #2 lost",
            "delete services/a #1 refused:503",
            "delete services/a #1 refused:429:3",
            "list pods #1 hang",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert!("apply x #1 sometimes".parse::<Fault>().is_err());
        assert!("apply".parse::<Fault>().is_err());
    }

    #[test]
    fn a_fault_strikes_once_and_only_its_point() {
        let mut plan = Plan::one("apply a #1 lost".parse().unwrap());
        assert_eq!(plan.strike("apply a #2", false), Strike::None);
        assert_eq!(
            plan.strike("apply a #1", false),
            Strike::Action(Action::Lost)
        );
        assert_eq!(plan.strike("apply a #1", false), Strike::None);
    }

    #[test]
    fn a_storm_is_the_same_for_the_same_seed_and_hits_at_its_rate() {
        let rates = Rates {
            internal: 100,
            unavailable: 100,
            timeout: 50,
            reset: 25,
            lost: 25,
        };
        let hits = |seed| -> Vec<Strike> {
            let mut plan = Plan {
                storm: Some((seed, rates)),
                ..Plan::default()
            };
            (0..2000)
                .map(|i| plan.strike(&format!("apply a #{i}"), false))
                .collect()
        };
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
        let struck = hits(7).iter().filter(|s| **s != Strike::None).count();
        assert!(
            (500..700).contains(&struck),
            "30 % of 2000 expected, were {struck}"
        );
    }
}
