//! The gateways that count together: who owns which holder now, and how that moves from one to the other.
//!
//! Pure. Used by `limit` under its lock; told of members by `watch`, of what others say by `peer`. Ownership moves in three
//! steps, so that no bucket ever has two owners, nor is forgotten by all:
//!
//! 1. *Waiting*: the members have changed here. As before, everybody owns what was its own, until all others see the same
//!    members (or 2 s have passed).
//! 2. *Handing*: each gateway sends each other one what was its own and is the other's from now on, and owns nothing that is
//!    new until it has had the same from all (or 1 s has passed).
//! 3. *Settled*.
//!
//! What an owner knew that went without handing over is lost: its buckets begin with one request for as long as they could
//! have been empty.

mod gone;
mod other;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use self::gone::Departed;
use self::other::Other;
pub(crate) use self::other::Said;
use super::ring::{MAX_MEMBERS, Ring, Uid};
use super::{Holder, SECOND};

/// Who was not heard for so long is not counted on.
const HEARD: u128 = SECOND;
/// For others to see the same members.
const AGREE: u128 = 2 * SECOND;
/// For handing over.
const HAND: u128 = SECOND;
/// For so long the owner of before is asked, too.
const FORMER: u128 = 3 * SECOND;
/// Gateways that are talked to: a rolling restart may have twice as many as members.
pub const MAX_PEERS: usize = 2 * MAX_MEMBERS;

/// A gateway as the cluster tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Of its pod.
    pub uid: Uid,
    /// Its admin port.
    pub address: SocketAddr,
    /// Whether it takes requests, and will for a while: only those own.
    pub owns: bool,
}

/// Where a holder's limits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here, as `part` of `whole`: those gateways that the others cannot reach use their own shares.
    Here { part: u64, whole: u64 },
    /// At a gateway that can be asked.
    There,
    /// At one that cannot: `whole` gateways have a share each.
    Lost { whole: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Settled,
    Waiting { since: u128 },
    Handing { since: u128 },
}

/// All about the other gateways. The default is to be alone.
#[derive(Debug)]
pub(crate) struct Peers {
    me: Uid,
    boot: u64,
    /// Of the last batch, to whomever it went: who is forgotten and met again must not begin anew.
    seq: u64,
    draining: bool,
    phase: Phase,
    /// Who owns from now on; in `Waiting`, from then on.
    ring: Ring,
    /// Who owned before, until `Settled`.
    before: Ring,
    /// Who is asked as well, and until when.
    former: Option<(Ring, u128)>,
    others: BTreeMap<Uid, Other>,
    /// Members that came while the last change was under way.
    next: Option<Vec<Member>>,
    gone: VecDeque<Departed>,
}

impl Default for Peers {
    fn default() -> Self {
        Self::new("".into(), 0)
    }
}

impl Peers {
    pub(crate) fn new(me: Uid, boot: u64) -> Self {
        Self {
            me,
            boot,
            seq: 0,
            draining: false,
            phase: Phase::Settled,
            ring: Ring::default(),
            before: Ring::default(),
            former: None,
            others: BTreeMap::new(),
            next: None,
            gone: VecDeque::new(),
        }
    }

    pub(crate) const fn me(&self) -> &Uid {
        &self.me
    }

    pub(crate) const fn boot(&self) -> u64 {
        self.boot
    }

    /// For the next batch.
    pub(crate) const fn next_seq(&mut self) -> u64 {
        self.seq = self.seq.saturating_add(1);
        self.seq
    }

    pub(crate) const fn view(&self) -> u64 {
        self.ring.view()
    }

    pub(crate) fn other(&mut self, uid: &str) -> Option<&mut Other> {
        self.others.get_mut(uid)
    }

    /// Those to be talked to.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&Uid, &Other)> {
        self.others.iter()
    }

    /// Gateways that own, this one included; 1 for one that is alone.
    pub(crate) fn len(&self) -> usize {
        self.ring.len().max(1)
    }

    /// Whether others have to be told things quickly now.
    pub(crate) fn is_moving(&self) -> bool {
        self.phase != Phase::Settled
    }

    pub(crate) fn is_handing(&self) -> bool {
        matches!(self.phase, Phase::Handing { .. })
    }

    /// The cluster says who there is. Others that are not named are not talked to any more.
    pub(crate) fn members(&mut self, mut members: Vec<Member>, now: u128) {
        members.sort();
        members.dedup_by(|a, b| a.uid == b.uid);
        members.truncate(MAX_PEERS);
        if self.is_handing() {
            // One change after the other: what is being handed over belongs to these members.
            self.next = Some(members);
            return;
        }
        let owning = members.iter().filter(|member| member.owns);
        let owning = owning.filter(|member| !(self.draining && member.uid == self.me));
        let mut ring = Ring::new(owning.map(|member| Uid::clone(&member.uid)));
        if ring.len() == 0 {
            ring = Ring::new([Uid::clone(&self.me)]);
        }
        let gone = |uid: &Uid| !members.iter().any(|member| member.uid == *uid);
        let lost: Vec<Uid> = self
            .others
            .keys()
            .filter(|uid| gone(uid))
            .cloned()
            .collect();
        for uid in lost {
            self.others.remove(&uid);
            // One that had handed over owned nothing any more.
            self.depart(&uid, now);
        }
        for member in members.into_iter().filter(|member| member.uid != self.me) {
            let Member { uid, address, .. } = member;
            let other = self
                .others
                .entry(uid)
                .or_insert_with(|| Other::new(address));
            if other.address != address {
                *other = Other::new(address);
            }
        }
        if ring == self.ring {
            return;
        }
        if self.phase == Phase::Settled {
            self.before = std::mem::replace(&mut self.ring, ring);
        } else {
            // Nothing was handed over yet: the same owners as before, on the way to other ones.
            self.ring = ring;
        }
        for other in self.others.values_mut() {
            (other.sent, other.came) = (false, false);
            other.outgoing = Vec::new();
        }
        self.phase = Phase::Waiting { since: now };
    }

    /// This gateway ends: it hands over what it owns, and owns nothing more.
    pub(crate) fn drain(&mut self, now: u128) {
        self.draining = true;
        let me = Uid::clone(&self.me);
        let member = |(uid, other): (&Uid, &Other)| Member {
            uid: Uid::clone(uid),
            address: other.address,
            owns: self.ring.contains(uid),
        };
        let mut members: Vec<Member> = self.others.iter().map(member).collect();
        if self.others.is_empty() {
            return;
        }
        members.retain(|member| member.uid != me);
        self.members(members, now);
    }

    /// Who owns now.
    fn owners(&self) -> &Ring {
        match self.phase {
            Phase::Waiting { .. } => &self.before,
            Phase::Settled | Phase::Handing { .. } => &self.ring,
        }
    }

    /// Whether this gateway decides about `holder` now.
    pub(crate) fn owns(&self, holder: &Holder) -> bool {
        match self.phase {
            Phase::Settled => self.ring.owns(&self.me, holder),
            Phase::Waiting { .. } => self.before.owns(&self.me, holder),
            Phase::Handing { .. } => {
                self.ring.owns(&self.me, holder)
                    && (self.before.owns(&self.me, holder) || self.others.values().all(|o| o.came))
            }
        }
    }

    /// Whether it does, or will when all is settled.
    pub(crate) fn will_own(&self, holder: &Holder) -> bool {
        self.ring.owns(&self.me, holder) || self.owns(holder)
    }

    pub(crate) fn place(&self, holder: &Holder, now: u128) -> Place {
        let whole = self.owners().len().max(1) as u64;
        if self.others.is_empty() && self.phase == Phase::Settled {
            return Place::Here { part: 1, whole: 1 };
        }
        if self.owns(holder) {
            let part = self.part(now).min(whole);
            return Place::Here { part, whole };
        }
        match self.whom(holder, 0, now) {
            Some(_) => Place::There,
            // While it is not settled who owns, the greater number is safe.
            None => Place::Lost {
                whole: self.ring.len().max(self.before.len()).max(1) as u64,
            },
        }
    }

    /// Owners that were heard lately, this one included.
    fn part(&self, now: u128) -> u64 {
        let ring = self.owners();
        let heard = |uid: &&Uid| {
            let heard = self.others.get(*uid).and_then(|other| other.heard);
            **uid == self.me || is_recent(heard, now)
        };
        ring.members().filter(heard).count().max(1) as u64
    }

    /// Owners that were heard lately and answer, this gateway included.
    pub(crate) fn reachable(&self, now: u128) -> usize {
        let reachable = |uid: &&Uid| {
            let other = self.others.get(*uid);
            other.is_some_and(|other| other.up && is_recent(other.heard, now))
        };
        1 + self.ring.members().filter(reachable).count()
    }

    /// Whom to ask about `holder`, in turn: the owner, and while things move also the one before.
    pub(crate) fn whom(&self, holder: &Holder, round: usize, now: u128) -> Option<&Uid> {
        let now_owner = self.ring.owner(holder);
        let before = match (&self.phase, &self.former) {
            (Phase::Waiting { .. } | Phase::Handing { .. }, _) => self.before.owner(holder),
            (Phase::Settled, Some((ring, until))) if *until > now => ring.owner(holder),
            (Phase::Settled, _) => None,
        };
        let mut candidates = match self.phase {
            Phase::Waiting { .. } => [before, now_owner],
            Phase::Settled | Phase::Handing { .. } => [now_owner, before],
        };
        if candidates.first() == candidates.last() {
            candidates = [now_owner, None];
        }
        let up = |uid: &&Uid| self.others.get(*uid).is_some_and(|other| other.up);
        let candidates: Vec<&Uid> = candidates.into_iter().flatten().filter(up).collect();
        candidates
            .get(round.checked_rem(candidates.len())?)
            .copied()
    }

    /// The owner has to be told what is held of `holder`.
    pub(crate) fn soil(&mut self, holder: &Holder) {
        let owner = self.ring.owner(holder).cloned();
        if let Some(other) = owner.and_then(|uid| self.others.get_mut(&uid)) {
            other.soiled.insert(holder.clone());
        }
    }

    /// Whether what is owed of `holder` can be told `uid`.
    pub(crate) fn is_at(&self, uid: &Uid, holder: &Holder) -> bool {
        self.phase == Phase::Settled && self.ring.owns(uid, holder)
    }

    /// Whether it still has to be handed over to.
    pub(crate) fn is_owed(&self, uid: &str) -> bool {
        self.is_handing() && self.others.get(uid).is_some_and(|other| !other.sent)
    }

    /// Goes on, if it is time. `true`: handing over begins, and what is to be handed over is to be laid out by
    /// [`Peers::moved`].
    pub(crate) fn advance(&mut self, now: u128) -> bool {
        match self.phase {
            Phase::Settled => false,
            Phase::Waiting { since } => {
                let agreed = self.others.values().all(|other| {
                    let silent = other
                        .alive
                        .is_some_and(|alive| !is_recent(Some(alive), now));
                    other.view == self.ring.view() || silent
                });
                let begins = agreed || now.saturating_sub(since) >= AGREE;
                if begins {
                    self.phase = Phase::Handing { since: now };
                }
                begins
            }
            Phase::Handing { since } => {
                let done = self.others.values().all(|other| {
                    let silent = !is_recent(other.alive, now);
                    (other.sent && other.came) || silent
                });
                if done || now.saturating_sub(since) >= HAND {
                    self.settle(now);
                }
                false
            }
        }
    }

    fn settle(&mut self, now: u128) {
        let before = std::mem::take(&mut self.before);
        let silent: Vec<Uid> = self
            .others
            .iter()
            .filter(|(uid, other)| before.contains(uid) && !other.came)
            .map(|(uid, _)| Uid::clone(uid))
            .collect();
        for uid in silent {
            self.remember(uid, before.clone(), now);
        }
        self.former = Some((before, now.saturating_add(FORMER)));
        self.phase = Phase::Settled;
        if let Some(next) = self.next.take() {
            self.members(next, now);
        }
    }

    /// To whom `holder` goes from here, if it does.
    pub(crate) fn moved(&self, holder: &Holder) -> Option<&Uid> {
        let to = self.ring.owner(holder)?;
        (self.before.owns(&self.me, holder) && *to != self.me).then_some(to)
    }
}

fn is_recent(at: Option<u128>, now: u128) -> bool {
    at.is_some_and(|at| now.saturating_sub(at) <= HEARD)
}
