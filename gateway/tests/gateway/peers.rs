//! Several gateways that count one caller's limits together, over sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits};
use aimass_chassis::shutdown::Stop;
use aimass_gateway::badge::Badge;
use aimass_gateway::doorman::{AUDIENCE, Doorman};
use aimass_gateway::limit::wire::{Ask, Batch};
use aimass_gateway::limit::{Holder, Member, OwnerLoss};
use aimass_gateway::peer::{Links, routes};
use aimass_gateway::table::{Plan, Rate};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api_server::{ApiServer, Mood, TOKENS, jwt};
use crate::client::{Answer, Client};
use crate::pod::{OK, Pod};
use crate::world::{Gateway, PATIENCE, Setup, eventually, model, spawn, table, token};

/// Nobody listens there.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 1);
/// Who gateways are.
const GATEWAYS: &str = "system:serviceaccount:aimass-system:aimass-gateway";

/// Gateways and their admin ports, the API server that knows them, and what they show each other.
struct Fleet {
    pod: Pod,
    api: ApiServer,
    gateways: Vec<Gateway>,
    admin: Vec<SocketAddr>,
    stops: Vec<Stop>,
    badges: TempDir,
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
        Self::with_tokens(count, pod, plan, 600).await
    }

    /// Whose first tokens last for so many seconds.
    async fn with_tokens(count: usize, pod: Pod, plan: Plan, seconds: i64) -> Self {
        let mut fleet = Self {
            pod,
            api: ApiServer::start().await,
            gateways: Vec::new(),
            admin: Vec::new(),
            stops: Vec::new(),
            badges: tempfile::tempdir().unwrap(),
        };
        for number in 0..count {
            fleet.give(number, &fleet.badge(number, seconds));
            let table = table(vec![model(&[fleet.pod.address])], Some(plan.clone()));
            let mut setup = Setup::of(table);
            // The machine may be busy; what is measured here is how many pass.
            let deadline = Duration::from_secs(2);
            setup.links = Links::new(Badge::new(fleet.file(number)), deadline);
            let gateway = setup.start().await;
            let limits = gateway.state.limits();
            limits.join(format!("pod-{number}").into(), 1 + number as u64);
            let reviewer = fleet.api.reviewer_for(AUDIENCE);
            let doorman = Doorman::new(reviewer, gateway.state.metrics().review_times());
            let app = routes(limits.clone(), doorman, GATEWAYS.into());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            fleet.admin.push(listener.local_addr().unwrap());
            let (limits, stop) = (Limits::default(), Stop::new());
            let served = listener::serve(listener, app, limits, stop.clone(), Duration::ZERO);
            spawn(served);
            fleet.stops.push(stop);
            fleet.gateways.push(gateway);
        }
        let all: Vec<usize> = (0..count).collect();
        fleet.tell(&all, |_, _| true);
        fleet.settled(&all).await;
        fleet
    }

    /// A token for a gateway, which the API server knows.
    fn badge(&self, number: usize, seconds: i64) -> String {
        let badge = jwt(GATEWAYS, AUDIENCE, seconds + i64::try_from(number).unwrap());
        self.api.admit(&badge, GATEWAYS);
        let pod = format!("pod-{number}");
        self.api.known().pods.insert(badge.clone(), pod);
        badge
    }

    fn file(&self, number: usize) -> std::path::PathBuf {
        self.badges.path().join(number.to_string())
    }

    /// Puts a token where a gateway finds it.
    fn give(&self, number: usize, badge: &str) {
        std::fs::write(self.file(number), badge).unwrap();
    }

    /// Has all gateways connect to each other anew.
    fn meet_again(&self, members: &[usize]) {
        self.tell(members, |_, _| false);
        self.tell(members, |_, _| true);
    }

    /// Sends `batch` to the admin port of a gateway, as curl would.
    async fn post(&self, to: usize, authorization: &str, batch: &Batch) -> Answer {
        let body = serde_json::to_string(batch).unwrap();
        let length = body.len();
        let request = format!(
            "POST /peer HTTP/1.1\r\nhost: a\r\n{authorization}content-length: {length}\r\n\r\n{body}"
        );
        Client::talk(self.admin[to], request).await
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
        assert_eq!(gateway.metric("aimass_gateway_limit_fallback_total "), 0.0);
    }
    let owner = &fleet.gateways[fleet.owner()];
    let asked = |gateway: &Gateway| gateway.metric("aimass_gateway_limit_peer_seconds_count ");
    assert_eq!(asked(owner), 0.0);
    assert!(fleet.gateways.iter().map(asked).sum::<f64>() > 2.0);
}

#[tokio::test]
async fn gateways_that_cannot_reach_each_other_have_their_shares() {
    let fleet = Fleet::of(3, Pod::answering(OK).await, per_minute()).await;
    let begun = Instant::now();
    assert_eq!(fleet.pass(30, &[0, 1, 2]).await, 30);
    fleet.tell(&[0, 1, 2], |_, _| false);
    let passed = 30 + fleet.pass(300, &[0, 1, 2]).await;
    // At most one request for each gateway, and those of a second. At least a third of what was left at its owner, and one for each
    // other: 42 exactly where nothing lapses and no time goes by, as the simulation has it (`limit/simulation.rs`).
    assert!(
        (40..=60 + 3 + 1 + since(begun)).contains(&passed),
        "{passed}"
    );
    fleet.tell(&[0, 1, 2], |_, _| true);
    fleet.settled(&[0, 1, 2]).await;
    // What the parts might have spent counts as spent, and comes back with time: so not 60, though no more than these were used. An
    // earlier bound of 60 here asked for more than the design promises; what is below 40 would be refused for no reason.
    let passed = passed + fleet.pass(300, &[0, 1, 2]).await;
    assert!(
        (40..=60 + 3 + 1 + since(begun)).contains(&passed),
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
    // The new one counts as if all had been used and one request was left, which the two have spent by then: 42 exactly where no time
    // goes by. The 20 that only the killed one knew of are lost, as the design has it; none of these two may be.
    assert!((42..=60 + 3 + since(begun)).contains(&passed), "{passed}");
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

/// A batch from the second of two gateways that wants requests of the caller, which the first one owns or does not.
fn wants(seq: u64) -> Batch {
    let ask = Ask {
        holder: holder(),
        rates: vec![
            serde_json::from_str(r#"{"name":"per-minute","interval":1000000000,"burst":60}"#)
                .unwrap(),
        ],
        tokens: 1,
        concurrency: None,
        slots: 0,
    };
    Batch {
        from: "pod-1".into(),
        boot: 2,
        seq,
        asks: vec![ask],
        ..Batch::default()
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn only_gateways_are_let_in_and_others_spend_nothing() {
    let fleet = Fleet::of(1, Pod::answering(OK).await, per_minute()).await;
    // The other one is listed, and is this test.
    let member = |number: usize, address| Member {
        uid: format!("pod-{number}").into(),
        address,
        owns: number == 0,
    };
    let state = &fleet.gateways[0].state;
    let members = vec![member(0, fleet.admin[0]), member(1, NOWHERE.into())];
    state.links().members(state.limits(), members);
    let right = fleet.badge(1, 600);
    let asked = fleet.api.count(TOKENS);
    let stranger = jwt("system:serviceaccount:shop:till", AUDIENCE, 600);
    fleet
        .api
        .admit(&stranger, "system:serviceaccount:shop:till");
    for credential in [
        String::new(),
        bearer("a.b.c"),
        bearer(&token()),
        bearer(&stranger),
        bearer(&jwt(GATEWAYS, "aimass", 600)),
        bearer(&jwt(GATEWAYS, AUDIENCE, -1)),
        format!("{}{}", bearer(&right), bearer(&stranger)),
    ] {
        let answer = fleet.post(0, &credential, &wants(1)).await;
        assert_eq!(answer.status, 401, "{credential}");
        assert_eq!(answer.header("www-authenticate"), "bearer");
    }
    assert_eq!(
        fleet.api.count(TOKENS),
        asked,
        "nobody is asked about these"
    );
    // One that says of itself what it must, and was never issued; and one that is somebody else's after all.
    let forged = jwt(GATEWAYS, AUDIENCE, 801);
    let lying = jwt(GATEWAYS, AUDIENCE, 802);
    fleet.api.admit(&lying, "system:serviceaccount:shop:till");
    for wrong in [forged, lying] {
        let answer = fleet.post(0, &bearer(&wrong), &wants(1)).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(fleet.api.count(TOKENS), asked + 2);
    // A gateway's own token does not speak for another gateway.
    let others = fleet.badge(7, 600);
    let answer = fleet.post(0, &bearer(&others), &wants(1)).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(state.limits().buckets(), 0, "nothing was spent");
    let answer = fleet.post(0, &bearer(&right), &wants(1)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let greeting = format!("GET /peer HTTP/1.1\r\nhost: a\r\n{}\r\n", bearer(&right));
    let mut client = Client::connect(fleet.admin[0]).await;
    client.send(greeting).await;
    // One without a body.
    assert_eq!(client.answer_to(true).await.status, 204);
    let asked = fleet.api.count(TOKENS);
    assert_eq!(fleet.post(0, &bearer(&right), &wants(2)).await.status, 200);
    assert_eq!(fleet.api.count(TOKENS), asked, "it is known");
    let ours = "aimass_gateway_token_review_seconds_count{review=\"admin\",result=\"yes\"}";
    assert_eq!(fleet.gateways[0].metric(ours), 3.0);
    assert!(!fleet.gateways[0].metrics().contains("till"));
}

#[tokio::test]
async fn without_the_api_server_gateways_that_know_each_other_go_on() {
    let fleet = Fleet::of(3, Pod::answering(OK).await, per_minute()).await;
    fleet.api.is(Mood::Refuses(500));
    fleet.meet_again(&[0, 1, 2]);
    fleet.settled(&[0, 1, 2]).await;
    let begun = Instant::now();
    let passed = fleet.pass(90, &[0, 1, 2]).await;
    assert!((50..=60 + since(begun)).contains(&passed), "{passed}");
}

#[tokio::test]
async fn a_token_that_nobody_can_look_at_is_refused_and_limits_are_shared_out() {
    let fleet = Fleet::of(2, Pod::answering(OK).await, per_minute()).await;
    fleet.api.is(Mood::Refuses(500));
    for number in 0..2 {
        fleet.give(number, &fleet.badge(number, 700));
    }
    fleet.meet_again(&[0, 1]);
    let alone = |gateway: &Gateway| {
        let now = Instant::now().into_std();
        gateway.state.limits().reachable(now) == 1
    };
    assert!(fleet.gateways.iter().all(alone));
    let refused = fleet.api.count(TOKENS);
    eventually(|| async {
        let asked = fleet.api.count(TOKENS);
        (asked > refused).then_some(()).ok_or(asked)
    })
    .await;
    let begun = Instant::now();
    let passed = fleet.pass(120, &[0, 1]).await;
    // Half of it for the one that counts, one request for the other, and one that was there before.
    assert!((2..=30 + 2 + since(begun)).contains(&passed), "{passed}");
    let fallbacks = |gateway: &Gateway| gateway.metric("aimass_gateway_limit_fallback_total ");
    assert_eq!(fleet.gateways.iter().map(fallbacks).sum::<f64>(), 60.0);
    fleet.api.is(Mood::Answers);
    fleet.settled(&[0, 1]).await;
}

#[tokio::test]
async fn before_a_token_ends_the_next_one_is_shown() {
    let fleet = Fleet::with_tokens(2, Pod::answering(OK).await, per_minute(), 8).await;
    let asked = fleet.api.count(TOKENS);
    let next: Vec<String> = (0..2).map(|number| fleet.badge(number, 600)).collect();
    for (number, badge) in next.iter().enumerate() {
        fleet.give(number, badge);
    }
    let deadline = Instant::now() + PATIENCE;
    while fleet.api.count(TOKENS) < asked + 2 {
        assert!(Instant::now() < deadline, "the next tokens are shown");
        fleet.pass(2, &[0, 1]).await;
    }
    fleet.pass(10, &[0, 1]).await;
    for gateway in &fleet.gateways {
        let fallbacks = gateway.metric("aimass_gateway_limit_fallback_total ");
        assert_eq!(fallbacks, 0.0, "nobody was without an owner meanwhile");
    }
}

#[tokio::test]
async fn where_shares_are_not_wanted_nothing_passes_without_the_owner() {
    let fleet = Fleet::of(2, Pod::answering(OK).await, per_minute()).await;
    for gateway in &fleet.gateways {
        gateway.state.limits().on_owner_loss(OwnerLoss::Refuse);
    }
    let (owner, other) = (fleet.owner(), 1 - fleet.owner());
    fleet.tell(&[0, 1], |_, _| false);
    assert_eq!(fleet.pass(10, &[other]).await, 0);
    assert!(fleet.pass(10, &[owner]).await > 0);
    let answer = Client::ask(fleet.gateways[other].address, &bearer(&token())).await;
    assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    assert_eq!(answer.header("retry-after"), "1");
}
