pub mod listeners;
pub mod metrics;
pub mod telemetry;
