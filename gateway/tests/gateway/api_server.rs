//! An API server of these tests: its two endpoints for reviews, and nothing else of it.
//!
//! The gateway's own client talks to it. What the real one says is looked at in lane `api`.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use aimass_gateway::review::Reviewer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::pod::Pod;

pub(crate) const TOKENS: &str = "post /apis/authentication.k8s.io/v1/tokenreviews ";
pub(crate) const ACCESS: &str = "post /apis/authorization.k8s.io/v1/subjectaccessreviews ";

/// Such an API server.
pub(crate) struct ApiServer {
    server: Pod,
    known: Arc<Mutex<Known>>,
}

/// What it knows, and how it is today.
pub(crate) struct Known {
    /// Names of users by token.
    pub(crate) users: HashMap<String, String>,
    /// Who may call what: user, namespace, model.
    pub(crate) roles: HashSet<(String, String, String)>,
    /// Uids of pods that tokens are bound to, by token.
    pub(crate) pods: HashMap<String, String>,
    /// What it says of audiences, whatever it was asked.
    pub(crate) audiences: Vec<String>,
    pub(crate) mood: Mood,
    /// Reviews that it has begun and not answered, and the most there ever were, by kind.
    under_way: HashMap<&'static str, (usize, usize)>,
}

#[derive(Clone)]
pub(crate) enum Mood {
    Answers,
    /// Answers each review when it is told to.
    Waits(Arc<Semaphore>),
    Refuses(u16),
    Silent,
}

impl ApiServer {
    /// That knows nobody yet.
    pub(crate) async fn start() -> Self {
        let known = Arc::new(Mutex::new(Known {
            users: HashMap::new(),
            pods: HashMap::new(),
            roles: HashSet::new(),
            audiences: vec!["aimass".to_owned()],
            mood: Mood::Answers,
            under_way: HashMap::new(),
        }));
        let shared = Arc::clone(&known);
        let server = Pod::new(move |mut peer| {
            let known = Arc::clone(&shared);
            async move {
                while let Some(asked) = peer.request().await {
                    let kind = if asked.head.starts_with(TOKENS) {
                        TOKENS
                    } else {
                        ACCESS
                    };
                    let review: Value = serde_json::from_slice(&asked.body).unwrap();
                    let mood = known.lock().unwrap().begins(kind);
                    let (status, answer) = match mood {
                        Mood::Silent => return peer.closed().await,
                        Mood::Refuses(status) => (status, json!({"kind": "Status"})),
                        Mood::Waits(go) => {
                            go.acquire().await.unwrap().forget();
                            (201, known.lock().unwrap().answer(&asked.head, review))
                        }
                        Mood::Answers => (201, known.lock().unwrap().answer(&asked.head, review)),
                    };
                    known.lock().unwrap().ends(kind);
                    let body = answer.to_string();
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
                    );
                    peer.send(head + &body).await;
                }
            }
        })
        .await;
        Self { server, known }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// A user, one of whose tokens is `token`.
    pub(crate) fn admit(&self, token: &str, user: &str) {
        let mut known = self.known();
        known.users.insert(token.to_owned(), user.to_owned());
    }

    /// Lets `user` call a model.
    pub(crate) fn allow(&self, user: &str, namespace: &str, model: &str) {
        let role = [user, namespace, model].map(str::to_owned);
        self.known().roles.insert(role.into());
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.known().mood = mood;
    }

    /// Reviews of a kind that it was asked for.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let asked = self.server.asked.lock().unwrap();
        let of_kind = asked.iter().filter(|asked| asked.head.starts_with(kind));
        of_kind.count()
    }

    /// The most reviews of a kind that it ever had at once.
    pub(crate) fn most(&self, kind: &str) -> usize {
        self.known()
            .under_way
            .get(kind)
            .map_or(0, |(_, most)| *most)
    }

    /// Asks it, for audience `aimass`.
    pub(crate) fn reviewer(&self) -> Reviewer {
        reviewer(self.server.address)
    }

    /// The same for another one, which it names from now on.
    pub(crate) fn reviewer_for(&self, audience: &str) -> Reviewer {
        self.known().audiences = vec![audience.to_owned()];
        Reviewer::new(client(self.server.address), audience.into())
    }
}

/// Asks an API server there, for audience `aimass`, as the process does: without trying again.
pub(crate) fn reviewer(address: SocketAddr) -> Reviewer {
    Reviewer::new(client(address), "aimass".into())
}

fn client(address: SocketAddr) -> kube::Client {
    aimass_chassis::tls::install();
    let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

impl Known {
    fn begins(&mut self, kind: &'static str) -> Mood {
        let (now, most) = self.under_way.entry(kind).or_default();
        *now += 1;
        *most = (*most).max(*now);
        self.mood.clone()
    }

    fn ends(&mut self, kind: &'static str) {
        let (now, _) = self.under_way.entry(kind).or_default();
        *now -= 1;
    }

    /// As the real one: the review comes back, with a status.
    fn answer(&self, head: &str, mut review: Value) -> Value {
        review["status"] = if head.starts_with(TOKENS) {
            let token = review["spec"]["token"].as_str().unwrap();
            match self.users.get(token) {
                Some(user) => {
                    let pod = self.pods.get(token).map(|uid| vec![uid]);
                    json!({
                        "authenticated": true, "audiences": self.audiences,
                        "user": {
                            "username": user, "uid": "u", "groups": ["system:authenticated"],
                            "extra": pod.map(|uids| json!({"authentication.kubernetes.io/pod-uid": uids})),
                        },
                    })
                }
                None => json!({"error": "[invalid bearer token]"}),
            }
        } else {
            let (spec, text) = (&review["spec"], |value: &Value| {
                value.as_str().unwrap().to_owned()
            });
            let about = &spec["resourceAttributes"];
            let role = (
                text(&spec["user"]),
                text(&about["namespace"]),
                text(&about["name"]),
            );
            let verb =
                ["verb", "group", "resource", "subresource"].map(|field| text(&about[field]));
            let predict = verb == ["create", "aimass.dev", "modeldeployments", "predict"];
            let groups = spec["groups"] == json!(["system:authenticated"]);
            json!({"allowed": predict && groups && self.roles.contains(&role)})
        };
        review
    }
}

/// A token that says this of itself, and ends in so many seconds. `id` tells tokens apart.
pub(crate) fn jwt(id: &str, audience: &str, seconds: i64) -> String {
    let end = aimass_chassis::clock::now().as_second() + seconds;
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = encode(json!({"alg": "RS256", "kid": "k"}));
    let payload = encode(json!({"aud": [audience], "exp": end, "sub": id}));
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(id))
}
