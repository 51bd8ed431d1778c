//! Several gateways that count one caller's limits together, over sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits};
use aimass_chassis::shutdown::Stop;
use aimass_gateway::limit::{Holder, Member};
use aimass_gateway::peer::{Links, routes};
use aimass_gateway::table::{Plan, Rate};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, PATIENCE, Setup, eventually, model, spawn, table, token};

/// Nobody listens there.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

/// Gateways and their admin ports.
struct Fleet {
    pod: Pod,
    gateways: Vec<Gateway>,
    admin: Vec<SocketAddr>,
    stops: Vec<Stop>,
}

fn holder() -> Holder {
    Holder::Key("uid-key".into())
}

fn per_minute() -> Plan {
    Plan {
        rates: vec![Rate {
            name: "per-minute".into(),
            requests: 60,
            window: Duration::from_secs(60),
            burst: 60,
        }],
        concurrency: None,
        shadow: false,
    }
}

impl Fleet {
    async fn of(count: usize, pod: Pod, plan: Plan) -> Self {
        let mut fleet = Self {
            pod,
            gateways: Vec::new(),
            admin: Vec::new(),
            stops: Vec::new(),
        };
        for number in 0..count {
            let table = table(vec![model(&[fleet.pod.address])], Some(plan.clone()));
            let mut setup = Setup::of(table);
            // The machine may be busy; what is measured here is how many pass.
            setup.links = Links::new(Duration::from_secs(2));
            let gateway = setup.start().await;
            gateway
                .state
                .limits()
                .join(format!("pod-{number}").into(), 1 + number as u64);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            fleet.admin.push(listener.local_addr().unwrap());
            let (app, stop) = (routes(gateway.state.limits().clone()), Stop::new());
            let limits = Limits::default();
            spawn(listener::serve(
                listener,
                app,
                limits,
                stop.clone(),
                Duration::ZERO,
            ));
            fleet.stops.push(stop);
            fleet.gateways.push(gateway);
        }
        let all: Vec<usize> = (0..count).collect();
        fleet.tell(&all, |_, _| true);
        fleet.settled(&all).await;
        fleet
    }

    /// Tells `members` of each other; those that cannot reach each other get an address where nobody is.
    fn tell(&self, members: &[usize], reaches: impl Fn(usize, usize) -> bool) {
        for from in members {
            let member = |to: &usize| Member {
                uid: format!("pod-{to}").into(),
                address: match reaches(*from, *to) {
                    true => self.admin[*to],
                    false => NOWHERE.into(),
                },
                owns: true,
            };
            let state = &self.gateways[*from].state;
            let told = members.iter().map(member).collect();
            state.links().members(state.limits(), told);
        }
    }

    /// Waits until all of `members` have met, and own what is theirs.
    async fn settled(&self, members: &[usize]) {
        eventually(|| async {
            let state = |number: &usize| {
                let limits = self.gateways[*number].state.limits();
                let now = Instant::now().into_std();
                (limits.gateways(), limits.reachable(now), limits.is_moving())
            };
            let states: Vec<_> = members.iter().map(state).collect();
            let whole = (members.len(), members.len(), false);
            let settled = states.iter().all(|state| *state == whole);
            settled.then_some(()).ok_or(states)
        })
        .await;
    }

    fn owner(&self) -> usize {
        let owns = |gateway: &Gateway| gateway.state.limits().owns(&holder());
        self.gateways.iter().position(owns).unwrap()
    }

    /// So many requests, in turn at each of `members`, ten at once; how many of them pass.
    async fn pass(&self, count: usize, members: &[usize]) -> usize {
        let headers: Arc<str> = format!("authorization: Bearer {}\r\n", token()).into();
        let mut passed = 0;
        for begin in (0..count).step_by(10) {
            let ask = |number: usize| {
                let address = self.gateways[members[number % members.len()]].address;
                let headers = Arc::clone(&headers);
                spawn(async move { Client::ask(address, &headers).await.status })
            };
            let asked: Vec<_> = (begin..count.min(begin + 10)).map(ask).collect();
            for status in asked {
                match status.await.unwrap() {
                    200 => passed += 1,
                    429 => {}
                    other => panic!("{other}"),
                }
            }
        }
        passed
    }
}

/// What a minute's rate lets pass beside the burst.
fn since(begun: Instant) -> usize {
    usize::try_from(begun.elapsed().as_secs()).unwrap() + 1
}

#[tokio::test]
async fn three_gateways_let_pass_what_one_would() {
    let fleet = Fleet::of(3, Pod::answering(OK).await, per_minute()).await;
    let begun = Instant::now();
    let passed = fleet.pass(300, &[0, 1, 2]).await;
    assert!((60..=60 + since(begun)).contains(&passed), "{passed}");
    assert_eq!(fleet.pod.count(), passed);
    for gateway in &fleet.gateways {
        assert_eq!(gateway.metric("aimass_gateway_peers "), 3.0);
        assert_eq!(gateway.metric("aimass_gateway_peers_reachable "), 3.0);
    }
}

#[tokio::test]
async fn gateways_that_cannot_reach_each_other_have_their_shares() {
    let fleet = Fleet::of(3, Pod::answering(OK).await, per_minute()).await;
    let begun = Instant::now();
    assert_eq!(fleet.pass(30, &[0, 1, 2]).await, 30);
    fleet.tell(&[0, 1, 2], |_, _| false);
    let passed = 30 + fleet.pass(300, &[0, 1, 2]).await;
    // One request for each gateway, and those of a second.
    assert!(
        (33..=60 + 3 + 1 + since(begun)).contains(&passed),
        "{passed}"
    );
    fleet.tell(&[0, 1, 2], |_, _| true);
    fleet.settled(&[0, 1, 2]).await;
    // What the parts might have spent counts as spent; it comes back with time.
    let passed = passed + fleet.pass(300, &[0, 1, 2]).await;
    assert!(
        (33..=60 + 3 + 1 + since(begun)).contains(&passed),
        "{passed}"
    );
}

#[tokio::test]
async fn when_the_one_that_counts_is_killed_the_others_go_on() {
    let mut fleet = Fleet::of(3, Pod::answering(OK).await, per_minute()).await;
    let begun = Instant::now();
    let owner = fleet.owner();
    let left: Vec<usize> = (0..3).filter(|number| *number != owner).collect();
    assert_eq!(fleet.pass(40, &[0, 1, 2]).await, 40);
    fleet.stops[owner].cancel();
    let killed = &mut fleet.gateways[owner];
    killed.stop.cancel();
    let unnoticed = fleet.pass(100, &left).await;
    fleet.tell(&left, |_, _| true);
    fleet.settled(&left).await;
    let passed = 40 + unnoticed + fleet.pass(300, &left).await;
    // The new one counts as if all had been used, and one request was left.
    assert!((41..=60 + 3 + since(begun)).contains(&passed), "{passed}");
}

#[tokio::test]
async fn requests_in_flight_are_counted_over_all_gateways() {
    let go = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&go);
    let pod = Pod::new(move |mut peer| {
        let go = Arc::clone(&wait);
        async move {
            while peer.request().await.is_some() {
                go.acquire().await.unwrap().forget();
                peer.send(OK).await;
            }
        }
    })
    .await;
    let plan = Plan {
        rates: Vec::new(),
        concurrency: Some(4),
        shadow: false,
    };
    let fleet = Fleet::of(3, pod, plan).await;
    let headers = format!("authorization: Bearer {}\r\n", token());
    let mut clients = Vec::new();
    for number in 0..4 {
        let mut client = fleet.gateways[number % 3].connect().await;
        client.predict(&headers).await;
        clients.push(client);
        eventually(|| async {
            (fleet.pod.count() == number + 1)
                .then_some(())
                .ok_or(number)
        })
        .await;
    }
    for gateway in &fleet.gateways {
        let answer = Client::ask(gateway.address, &headers).await;
        assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    }
    go.add_permits(1000);
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    let owner = fleet.gateways[fleet.owner()].state.limits().clone();
    let deadline = Instant::now() + PATIENCE;
    while owner.leased(&holder(), Instant::now().into_std()) > 0 {
        assert!(Instant::now() < deadline, "places are given back");
        for gateway in &fleet.gateways {
            gateway
                .state
                .limits()
                .sweep(1000, Instant::now().into_std());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for gateway in &fleet.gateways {
        let answer = Client::ask(gateway.address, &headers).await;
        assert_eq!(answer.status, 200);
    }
}
