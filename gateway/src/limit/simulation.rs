//! Several gateways on one clock and one network of their own, and what must hold whatever happens to them.
//!
//! The deciders are the real ones; simulated are the tasks around them: a batch at a time over each link, delays, partitions,
//! gateways that come, drain and are killed, and a cluster that tells each gateway of it late.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of a simulation are small"
)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::wire::{Ask, Batch, MAX_ASKS, Reply};
use super::{Holder, Limits, Member, Outcome, OwnerLoss, Place, Replied, Sent, Uid};
use crate::peer::link::{HANDING, HEARTBEAT, MOVING};
use crate::phase::admit::{Admission, Fate, Fetched, Policy, Step, Ticket, decide};
use crate::table::{Plan, Rate};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const DEADLINE: u64 = 5 * MS;

/// Things that happen.
enum Event {
    Arrive {
        node: usize,
        hold: u64,
    },
    Deliver {
        from: usize,
        to: usize,
        number: u64,
        batch: Batch,
    },
    Return {
        from: usize,
        to: usize,
        number: u64,
        reply: Reply,
    },
    TooLate {
        from: usize,
        to: usize,
        number: u64,
    },
    Again(u64),
    GiveUp(u64),
    Beat {
        from: usize,
        to: usize,
    },
    Nudge {
        from: usize,
        to: usize,
    },
    Tick(usize),
    Release(u64),
    Members(usize, Vec<usize>, Vec<usize>),
    Split(Vec<usize>),
    Kill(usize),
    Drain(usize),
}

struct Node {
    limits: Limits,
    alive: bool,
    links: HashMap<usize, Link>,
}

#[derive(Default)]
struct Link {
    queue: VecDeque<(Ask, Option<u64>)>,
    under_way: Option<(u64, Sent, Vec<Option<u64>>)>,
}

/// A request that is being decided.
struct Request {
    node: usize,
    hold: u64,
    fetched: Vec<Fetched>,
    begun: u64,
    round: usize,
    asks: Option<(usize, Ask)>,
}

struct World {
    base: Instant,
    now: u64,
    number: u64,
    random: u64,
    delay: u64,
    events: BTreeMap<(u64, u64), Event>,
    nodes: Vec<Node>,
    group: Vec<usize>,
    policies: Vec<Policy>,
    requests: HashMap<u64, Request>,
    tickets: HashMap<u64, (usize, Ticket)>,
    admitted: Vec<u64>,
    refused: usize,
    most: usize,
}

fn uid(node: usize) -> Uid {
    format!("pod-{node}").into()
}

fn plan(requests: u64, seconds: u64, burst: u64) -> Plan {
    Plan {
        rates: vec![Rate {
            name: "r".into(),
            requests,
            window: Duration::from_secs(seconds),
            burst,
        }],
        concurrency: None,
        shadow: false,
    }
}

impl World {
    /// So many gateways that know each other.
    fn new(count: usize, plan: Plan, seed: u64) -> Self {
        let mut world = Self {
            base: tokio::time::Instant::now().into_std(),
            now: 0,
            number: 0,
            random: seed | 1,
            delay: MS / 2,
            events: BTreeMap::new(),
            nodes: Vec::new(),
            group: Vec::new(),
            policies: vec![Policy {
                holder: Holder::Key("caller".into()),
                plan: Arc::new(plan),
            }],
            requests: HashMap::new(),
            tickets: HashMap::new(),
            admitted: Vec::new(),
            refused: 0,
            most: 0,
        };
        let all: Vec<usize> = (0..count).map(|_| world.add()).collect();
        for node in &all {
            world.at(0, Event::Members(*node, all.clone(), Vec::new()));
        }
        world.run(5 * SECOND);
        world
    }

    fn add(&mut self) -> usize {
        let node = self.nodes.len();
        let limits = Limits::default();
        limits.join(uid(node), 1 + node as u64);
        self.nodes.push(Node {
            limits,
            alive: true,
            links: HashMap::new(),
        });
        self.group.push(0);
        self.at(self.now + SECOND, Event::Tick(node));
        node
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.insert((time.max(self.now), self.number), event);
    }

    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_nanos(self.now)
    }

    /// Until then.
    fn run(&mut self, until: u64) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((time, _), event) = entry.remove_entry();
            self.now = time;
            self.happen(event);
        }
        self.now = until;
    }

    /// Everybody alive learns who there is, each at its own time.
    fn tell(&mut self, owning: &[usize], others: &[usize], lag: u64) {
        for node in 0..self.nodes.len() {
            let late = self.next(lag);
            let event = Event::Members(node, owning.to_vec(), others.to_vec());
            self.at(self.now + late, event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { node, hold } if self.nodes[node].alive => self.arrive(node, hold),
            Event::Deliver {
                from,
                to,
                number,
                batch,
            } => {
                if !self.nodes[to].alive || self.group[from] != self.group[to] {
                    return;
                }
                let instant = self.instant();
                let reply = {
                    let mut used = self.nodes[to].limits.lock();
                    let now = used.now(instant);
                    used.serve(&batch, now)
                };
                self.tell_others(to);
                let delay = self.next(self.delay);
                self.at(
                    self.now + delay,
                    Event::Return {
                        from,
                        to,
                        number,
                        reply,
                    },
                );
            }
            Event::Return {
                from,
                to,
                number,
                reply,
            } => self.come_back(from, to, number, reply),
            Event::TooLate { from, to, number } => self.too_late(from, to, number),
            Event::Again(request) => self.ask(request),
            Event::GiveUp(request) => {
                if self
                    .requests
                    .get(&request)
                    .is_some_and(|r| r.asks.is_some())
                {
                    self.settle(request, Fate::Lost);
                }
            }
            Event::Beat { from, to } if self.nodes[from].alive => {
                if !self.nodes[from].links.contains_key(&to) {
                    return;
                }
                self.pump(from, to, true);
                let pause = {
                    let used = self.nodes[from].limits.lock();
                    match (used.peers.is_owed(&uid(to)), used.peers.is_moving()) {
                        (true, _) => HANDING.as_nanos() as u64,
                        (false, true) => MOVING.as_nanos() as u64,
                        (false, false) => HEARTBEAT.as_nanos() as u64,
                    }
                };
                self.at(self.now + pause, Event::Beat { from, to });
            }
            Event::Tick(node) if self.nodes[node].alive => {
                self.nodes[node].limits.sweep(1000, self.instant());
                self.at(self.now + SECOND, Event::Tick(node));
            }
            Event::Release(ticket) => drop(self.tickets.remove(&ticket)),
            Event::Members(node, owning, others) if self.nodes[node].alive => {
                let member = |owns| {
                    move |node: &usize| Member {
                        uid: uid(*node),
                        address: SocketAddr::from(([10, 0, 0, 1], 1000 + *node as u16)),
                        owns,
                    }
                };
                let members = owning.iter().map(member(true));
                let members = members.chain(others.iter().map(member(false)));
                self.nodes[node]
                    .limits
                    .members(members.collect(), self.instant());
                let others: Vec<usize> = owning.into_iter().chain(others).collect();
                self.nodes[node].links.retain(|to, _| others.contains(to));
                for to in others.into_iter().filter(|to| *to != node) {
                    let known = self.nodes[node].links.contains_key(&to);
                    self.nodes[node].links.entry(to).or_default();
                    // Known links are told as well: `changed`.
                    let event = match known {
                        true => Event::Nudge { from: node, to },
                        false => Event::Beat { from: node, to },
                    };
                    self.at(self.now, event);
                }
            }
            Event::Nudge { from, to } => self.pump(from, to, true),
            Event::Split(groups) => self.group = groups,
            Event::Kill(node) => {
                self.nodes[node].alive = false;
                self.tickets.retain(|_, (on, _)| *on != node);
                self.requests.retain(|_, request| request.node != node);
            }
            Event::Drain(node) => self.nodes[node].limits.drain(self.instant()),
            Event::Arrive { .. } | Event::Beat { .. } | Event::Tick(_) | Event::Members(..) => {}
        }
    }

    fn arrive(&mut self, node: usize, hold: u64) {
        self.number += 1;
        let id = self.number;
        self.requests.insert(
            id,
            Request {
                node,
                hold,
                fetched: self.policies.iter().map(|_| Fetched::default()).collect(),
                begun: self.now,
                round: 0,
                asks: None,
            },
        );
        self.step(id);
    }

    fn step(&mut self, id: u64) {
        let instant = self.instant();
        let request = self.requests.get_mut(&id).unwrap();
        let node = request.node;
        let limits = self.nodes[node].limits.clone();
        match decide(&limits, &self.policies, &mut request.fetched, instant) {
            Step::Decided(admission, ahead) => {
                let request = self.requests.remove(&id).unwrap();
                match admission {
                    Admission::Admitted(ticket) => {
                        self.admitted.push(self.now);
                        self.tickets.insert(id, (node, ticket));
                        self.most = self.most.max(self.tickets.len());
                        self.at(self.now + request.hold, Event::Release(id));
                    }
                    Admission::Refused(_) => self.refused += 1,
                }
                for ask in ahead {
                    let to = {
                        let mut used = limits.lock();
                        let now = used.now(instant);
                        used.peers.whom(&ask.holder, 0, now).cloned()
                    };
                    if let Some(to) = to {
                        self.queue(node, &to, ask, None);
                    }
                }
            }
            Step::Ask(index, ask) => {
                request.asks = Some((index, ask));
                let until = request.begun + DEADLINE;
                self.at(until, Event::GiveUp(id));
                self.ask(id);
            }
        }
    }

    fn ask(&mut self, id: u64) {
        let instant = self.instant();
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let Some((_, ask)) = request.asks.clone() else {
            return;
        };
        let (node, round) = (request.node, request.round);
        let to = {
            let mut used = self.nodes[node].limits.lock();
            let now = used.now(instant);
            match used.peers.place(&ask.holder, now) {
                Place::Here { .. } => Err(Fate::Here),
                Place::Lost { .. } => Err(Fate::Lost),
                Place::There => used
                    .peers
                    .whom(&ask.holder, round, now)
                    .cloned()
                    .ok_or(Fate::Lost),
            }
        };
        match to {
            Ok(to) => self.queue(node, &to, ask, Some(id)),
            Err(fate) => self.settle(id, fate),
        }
    }

    fn settle(&mut self, id: u64, fate: Fate) {
        let request = self.requests.get_mut(&id).unwrap();
        let (index, _) = request.asks.take().unwrap();
        request.fetched[index].settle(fate);
        self.step(id);
    }

    fn queue(&mut self, from: usize, to: &Uid, ask: Ask, waiting: Option<u64>) {
        let to: usize = to.trim_start_matches("pod-").parse().unwrap();
        let link = self.nodes[from].links.entry(to).or_default();
        link.queue.push_back((ask, waiting));
        self.pump(from, to, false);
    }

    /// The next batch, if there is none under way.
    fn pump(&mut self, from: usize, to: usize, beat: bool) {
        let instant = self.instant();
        let requests = &self.requests;
        let node = &mut self.nodes[from];
        let Some(link) = node.links.get_mut(&to) else {
            return;
        };
        let waits = |id: &u64| {
            requests
                .get(id)
                .is_some_and(|request| request.asks.is_some())
        };
        link.queue.retain(|(_, id)| id.as_ref().is_none_or(waits));
        if link.under_way.is_some() || (link.queue.is_empty() && !beat) {
            return;
        }
        let count = link.queue.len().min(MAX_ASKS);
        let (asks, waiting) = link.queue.drain(..count).unzip();
        let sent = {
            let mut used = node.limits.lock();
            let now = used.now(instant);
            used.batch(&uid(to), asks, now)
        };
        let Some(sent) = sent else { return };
        self.number += 1;
        let (number, batch) = (self.number, sent.batch.clone());
        link.under_way = Some((number, sent, waiting));
        let delay = self.next(self.delay);
        self.at(
            self.now + delay,
            Event::Deliver {
                from,
                to,
                number,
                batch,
            },
        );
        self.at(self.now + DEADLINE, Event::TooLate { from, to, number });
    }

    fn come_back(&mut self, from: usize, to: usize, number: u64, reply: Reply) {
        if !self.nodes[from].alive || self.group[from] != self.group[to] {
            return;
        }
        let Some(link) = self.nodes[from].links.get_mut(&to) else {
            return;
        };
        let Some((_, sent, waiting)) = link.under_way.take_if(|(known, _, _)| *known == number)
        else {
            return;
        };
        let replied = Replied {
            waiting: waiting.iter().map(Option::is_some).collect(),
            sent,
            reply,
        };
        let (limits, instant) = (self.nodes[from].limits.clone(), self.instant());
        let outcomes = {
            let mut used = limits.lock();
            let now = used.now(instant);
            used.settle(&limits, &uid(to), replied, now)
        };
        self.tell_others(from);
        for (id, outcome) in waiting.into_iter().zip(outcomes) {
            let Some(id) = id else { continue };
            let asks = |request: &&mut Request| request.asks.is_some();
            let Some(request) = self.requests.get_mut(&id).filter(asks) else {
                continue;
            };
            match outcome {
                Outcome::NotOwner => {
                    request.round += 1;
                    let pause = if request.round % 2 == 0 { MS / 2 } else { 0 };
                    self.at(self.now + pause, Event::Again(id));
                }
                said => self.settle(id, Fate::Said(said)),
            }
        }
        let owed = self.nodes[from].limits.lock().peers.is_owed(&uid(to));
        self.pump(from, to, owed);
    }

    /// What is urgent goes at once.
    fn tell_others(&mut self, node: usize) {
        if !self.nodes[node].limits.lock().is_urgent() {
            return;
        }
        let others: Vec<usize> = self.nodes[node].links.keys().copied().collect();
        for to in others {
            self.at(self.now, Event::Nudge { from: node, to });
        }
    }

    fn too_late(&mut self, from: usize, to: usize, number: u64) {
        let instant = self.instant();
        let Some(link) = self.nodes[from].links.get_mut(&to) else {
            return;
        };
        let Some((_, sent, waiting)) = link.under_way.take_if(|(known, _, _)| *known == number)
        else {
            return;
        };
        {
            let mut used = self.nodes[from].limits.lock();
            let now = used.now(instant);
            used.unsent(&uid(to), sent, true, now);
        }
        for id in waiting.into_iter().flatten() {
            if self
                .requests
                .get(&id)
                .is_some_and(|request| request.asks.is_some())
            {
                self.settle(id, Fate::Lost);
            }
        }
        self.pump(from, to, false);
    }

    /// Requests over a time, at nodes by chance, with pauses of up to `pause`.
    fn arrivals(&mut self, count: usize, pause: u64, nodes: &[usize]) -> u64 {
        let mut time = self.now;
        for _ in 0..count {
            time += self.next(pause);
            let node = nodes[self.next(nodes.len() as u64) as usize];
            self.at(time, Event::Arrive { node, hold: 0 });
        }
        time
    }

    /// Nowhere were more admitted than that: in any interval t, burst + t/T and `slack` more. What is granted is used later: when
    /// the answer has come, or if it was fetched ahead within 100 ms.
    fn check(&self, slack: u64) -> Result<(), TestCaseError> {
        let rate = &self.policies[0].plan.rates[0];
        let interval = rate.window.as_nanos().div_ceil(u128::from(rate.requests)) as u64;
        let later = match interval > SECOND / 20 {
            true => DEADLINE,
            false => 100 * MS,
        };
        for (first, from) in self.admitted.iter().enumerate() {
            for (last, to) in self.admitted.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                let bound = rate.burst + (to - from + later) / interval + slack;
                prop_assert!(
                    count <= bound,
                    "{count} > {bound} from {} to {} ms",
                    from / MS,
                    to / MS
                );
            }
        }
        Ok(())
    }

    fn owner(&self) -> usize {
        let holder = &self.policies[0].holder;
        let owns = |node: &Node| node.alive && node.limits.lock().peers.owns(holder);
        self.nodes.iter().position(owns).unwrap()
    }

    fn owners(&self) -> usize {
        let holder = &self.policies[0].holder;
        let owns = |node: &&Node| node.alive && node.limits.lock().peers.owns(holder);
        self.nodes.iter().filter(owns).count()
    }
}

mod tests;
