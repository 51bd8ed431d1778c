//! The `fetch` role: not there yet, refuses to run.
/// Refuses.
///
/// # Errors
/// Always.
pub fn run(_: crate::config::FetchConfig) -> anyhow::Result<u8> {
    anyhow::bail!("fetch is not there yet")
}
