//! Fetching over HTTP from a server of this test, and what is refused.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aimass_server::config::FetchConfig;
use aimass_server::fatal::{Fatal, Reason};
use aimass_server::fetch::fetch;
use aimass_server::files::{Digest, Hashing, Limits, Manifest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers each request with what `answer` makes of its head.
async fn store(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    aimass_chassis::tasks::spawn_detached("store", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = answer(str::from_utf8(&head).unwrap());
            let _gone = stream.write_all(&answer).await;
        }
    });
    (format!("http://{address}"), count)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn empty(status: &str, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n")
        .into_bytes()
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut hash = Hashing::new();
    hash.update(bytes);
    Digest::of_hex(&hash.finish())
}

fn config(source: &str, folder: &Path, digest: Option<Digest>) -> FetchConfig {
    aimass_chassis::tls::install();
    FetchConfig {
        source: source.parse().unwrap(),
        destination: folder.join("files"),
        digest,
        stay: false,
        limits: Limits {
            max_bytes: 1 << 20,
            ..Limits::default()
        },
        timeout: Duration::from_secs(20),
        min_rate: 1,
        credentials: None,
        ca_file: None,
        allow_http: true,
        allow_hosts: vec!["127.0.0.1".to_owned()],
        forbidden: Vec::new(),
        termination_log: PathBuf::from("/dev/null"),
    }
}

async fn fetched(source: &str, digest: Option<Digest>) -> Result<Manifest, Fatal> {
    let folder = tempfile::tempdir().unwrap();
    fetch(&config(source, folder.path(), digest)).await
}

#[tokio::test]
async fn a_file_is_brought_once_and_stays() {
    let (url, count) = store(|_| ok(b"a model")).await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        &format!("{url}/iris.onnx"),
        folder.path(),
        Some(digest_of(b"a model")),
    );
    let manifest = fetch(&config).await.unwrap();
    assert_eq!(manifest.files[0].path, "iris.onnx");
    assert_eq!(
        std::fs::read(folder.path().join("files/iris.onnx")).unwrap(),
        b"a model"
    );
    assert_eq!(fetch(&config).await.unwrap(), manifest);
    assert_eq!(
        count.load(Ordering::Relaxed),
        1,
        "the right digest is there already"
    );
    assert!(!folder.path().join(".partial").exists());
}

#[tokio::test]
async fn an_archive_is_unpacked() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_cksum();
    builder
        .append_data(&mut header, "sub/model.onnx", b"abc".as_slice())
        .unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&builder.into_inner().unwrap()).unwrap();
    let packed = gzip.finish().unwrap();
    let digest = digest_of(&packed);
    let (url, _) = store(move |_| ok(&packed)).await;
    let manifest = fetched(&format!("{url}/m.tar.gz?v=1"), Some(digest.clone()))
        .await
        .unwrap();
    assert_eq!(
        (manifest.digest, manifest.files[0].path.as_str()),
        (digest, "sub/model.onnx")
    );
}

#[tokio::test]
async fn another_digest_is_refused() {
    let (url, _) = store(|_| ok(b"another model")).await;
    let fatal = fetched(&url, Some(digest_of(b"a model")))
        .await
        .unwrap_err();
    assert_eq!(
        (fatal.reason, fatal.reason.exit_code()),
        (Reason::DigestMismatch, 3)
    );
}

#[tokio::test]
async fn statuses_tell_whether_to_try_again() {
    for (status, reason, tries) in [
        ("404 Not Found", Reason::ArtifactUnavailable, 1),
        ("403 Forbidden", Reason::AccessDenied, 1),
        ("401 Unauthorized", Reason::AccessDenied, 1),
    ] {
        let (url, count) = store(move |_| empty(status, "")).await;
        let fatal = fetched(&url, None).await.unwrap_err();
        assert_eq!(
            (fatal.reason, fatal.reason.exit_code()),
            (reason, 4),
            "{status}"
        );
        assert!(fatal.message.contains(&status[..3]), "{fatal}");
        assert_eq!(count.load(Ordering::Relaxed), tries);
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let tries = AtomicUsize::new(0);
    let (url, count) = store(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => empty("503 Service Unavailable", ""),
        1 => ok(b"a model")[..40].to_vec(),
        _ => ok(b"a model"),
    })
    .await;
    assert!(fetched(&url, Some(digest_of(b"a model"))).await.is_ok());
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_download_is_as_large_and_as_slow_as_allowed_at_most() {
    let (url, _) = store(|_| ok(&vec![0; (1 << 20) + 1])).await;
    let fatal = fetched(&url, None).await.unwrap_err();
    assert_eq!(fatal.reason, Reason::ArtifactInvalid);
    let (url, _) = store(|_| {
        b"HTTP/1.1 200 OK\r\n\r\n"
            .iter()
            .copied()
            .chain(vec![0; (1 << 20) + 1])
            .collect()
    })
    .await;
    let fatal = fetched(&url, None).await.unwrap_err();
    assert_eq!(
        fatal.reason,
        Reason::ArtifactInvalid,
        "without a length too: {fatal}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    let config = FetchConfig {
        timeout: Duration::from_millis(200),
        ..config(&silent, folder.path(), None)
    };
    let fatal = fetch(&config).await.unwrap_err();
    assert_eq!(
        (fatal.reason, fatal.reason.exit_code()),
        (Reason::FetchTimeout, 4)
    );
}

#[tokio::test]
async fn credentials_stay_with_the_sources_host() {
    let (other, _) = store(|head| {
        assert!(!head.contains("authorization"), "{head}");
        ok(b"a model")
    })
    .await;
    let (url, _) = store(move |head| {
        assert!(head.contains("authorization: Bearer secret\r\n"), "{head}");
        empty("302 Found", &format!("location: {other}/m\r\n"))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("token"), "secret\n").unwrap();
    let config = FetchConfig {
        credentials: Some(credentials.path().to_owned()),
        ..config(&url, folder.path(), None)
    };
    fetch(&config).await.unwrap();
}

#[tokio::test]
async fn redirects_end() {
    let (url, count) = store(|_| empty("302 Found", "location: /again\r\n")).await;
    let fatal = fetched(&url, None).await.unwrap_err();
    assert!(fatal.message.contains("only after 5 redirects"), "{fatal}");
    assert_eq!(count.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn addresses_that_a_user_must_not_reach_are_refused() {
    let denied = async |source: &str, allow: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let allow_hosts = allow.iter().map(|host| (*host).to_owned()).collect();
        let config = FetchConfig {
            allow_hosts,
            ..config(source, folder.path(), None)
        };
        let fatal = fetch(&config).await.unwrap_err();
        assert_eq!(fatal.reason, Reason::AccessDenied, "{source}: {fatal}");
        fatal.message
    };
    for source in [
        "http://127.0.0.1:1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST/",
    ] {
        let message = denied(source, &[]).await;
        assert!(message.contains("--allow-host"), "{source}: {message}");
    }
    let never = [
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "http://[fe80::1]/",
    ];
    let hosts = ["169.254.169.254", "0.0.0.0", "fe80::1"];
    for source in never {
        denied(source, &hosts).await;
    }
}

#[tokio::test]
async fn a_redirect_is_judged_like_the_first_address() {
    let (url, _) = store(|_| empty("302 Found", "location: http://169.254.169.254/\r\n")).await;
    assert_eq!(
        fetched(&url, None).await.unwrap_err().reason,
        Reason::AccessDenied
    );
    let (url, _) = store(|_| empty("302 Found", "location: file:///etc/passwd\r\n")).await;
    assert_eq!(
        fetched(&url, None).await.unwrap_err().reason,
        Reason::AccessDenied
    );
}
