//! One token that ends a process in order: cancelled by SIGTERM or SIGINT.

use tokio::signal::unix::{SignalKind, signal};
/// Cancelled once the process is to end; every loop and listener holds a clone.
pub use tokio_util::sync::CancellationToken as Stop;

/// A token that SIGTERM and SIGINT cancel; a second signal ends the process at once with code 1.
///
/// Must be called inside a tokio runtime.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn on_signals() -> std::io::Result<Stop> {
    let stop = Stop::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cancelled = stop.clone();
    crate::tasks::spawn_detached("signals", async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: a signal asked for it");
        cancelled.cancel();
        either(&mut terminate, &mut interrupt).await;
        tracing::warn!("stopping at once: a second signal asked for it");
        std::process::exit(1);
    });
    Ok(stop)
}

async fn either(
    terminate: &mut tokio::signal::unix::Signal,
    interrupt: &mut tokio::signal::unix::Signal,
) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
