//! Thousands of requests made by a seeded mutator: never a 5xx, never a hang, and it still serves.

use crate::process::Server;
use crate::wire;

const REQUESTS: u32 = 3_000;
const SEEDS: [(&str, &str); 4] = [
    (
        "/v1/models/my_model:predict",
        r#"{"signature_name":"serving_default","instances":[[1.0],[2.0],[3.0]]}"#,
    ),
    (
        "/v1/models/my_model:predict",
        r#"{"inputs":{"x":[[1.5e3],[-2]]}}"#,
    ),
    (
        "/v2/models/my_model/infer",
        r#"{"id":"a","inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[1,2]}]}"#,
    ),
    (
        "/v2/models/my_model/infer",
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[[1]]}],"outputs":[{"name":"y"}]}"#,
    ),
];
/// What a mutation inserts: tokens that parsers stumble over.
const TOKENS: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"-",
    b"null",
    b"NaN",
    b"\xff\xfe",
    b"9223372036854775808",
    b"{\"b64\":\"aGk=\"}",
];

#[test]
fn s40_mutated_requests_never_get_a_server_error() {
    let server = Server::ready("linear");
    let mut random = Random(0x5eed);
    for round in 0..REQUESTS {
        let (path, body) = SEEDS[random.below(SEEDS.len())];
        let body = mutate(body.as_bytes(), &mut random);
        let answer = wire::post(server.data, path, &[], &body);
        assert!(
            (200..500).contains(&answer.status),
            "round {round}: {answer:?} to {:?}",
            String::from_utf8_lossy(&body)
        );
    }
    server.assert_serves();
}

/// One to four edits: cut, repeat, overwrite or insert.
fn mutate(body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(body.len() + 1);
        match random.below(4) {
            0 => body.truncate(at),
            1 => body.extend_from_within(..at),
            2 => {
                if let Some(byte) = body.get_mut(at) {
                    *byte = random.byte();
                }
            }
            _ => {
                let token = TOKENS
                    .get(random.below(TOKENS.len()))
                    .copied()
                    .unwrap_or_default();
                body.splice(at..at, token.iter().copied());
            }
        }
    }
    body
}

/// Xorshift: the same requests at each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
