//! Whatever a caller sends in whatever order: every id is answered once, and never more than 32 requests are in flight.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::peer::{Server, limits};

/// What a caller does next.
#[derive(Clone, Debug)]
enum Move {
    Call { id: u8, ms: u16 },
    Cancel { id: u8 },
    Nonsense,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0..60_u8, prop_oneof![Just(0), 1..2000_u16]).prop_map(|(id, ms)| Move::Call { id, ms }),
        2 => (0..60_u8).prop_map(|id| Move::Cancel { id }),
        1 => Just(Move::Nonsense),
    ];
    proptest::collection::vec(one, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_call_is_answered_once_and_at_most_32_are_in_flight(moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check(moves));
    }
}

async fn check(moves: Vec<Move>) {
    let server = Server::new(aimass_chassis::ws::Limits {
        malformed: 1000,
        ..limits()
    });
    let mut client = server.connect().await;
    // As many answers as calls, whether done, cancelled or duplicate; one to each nonsense; none to a cancellation.
    let mut expect: BTreeMap<String, usize> = BTreeMap::new();
    for next in &moves {
        let (line, answered) = match next {
            Move::Call { id, ms } => (format!("r{id} /wait/{ms}"), Some(format!("r{id}"))),
            Move::Cancel { id } => (format!("cancel r{id}"), None),
            Move::Nonsense => ("nonsense".to_owned(), Some("nonsense".to_owned())),
        };
        client.say(line).await;
        if let Some(id) = answered {
            *expect.entry(id).or_default() += 1;
        }
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..expect.values().sum() {
        let answer = client.text().await;
        let id = if answer.ends_with("makes no sense") {
            "nonsense"
        } else {
            answer.split(' ').next().unwrap()
        };
        *found.entry(id.to_owned()).or_default() += 1;
    }
    assert_eq!(found, expect);
    assert!(server.load.most() <= 32 && server.load.now() == 0);
    server.drain.cancel();
    assert_eq!(client.code().await, 1012, "nothing more comes");
}
