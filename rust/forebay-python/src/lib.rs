//! The extension module `forebay._forebay`: converts, calls the core, maps errors. No function of it is called once a
//! record.

mod allocator;
mod batch;
mod column;
mod completion;
mod consumer;
mod convert;
mod descriptor;
mod engine;
mod error;
mod front;
mod job;
mod live;
mod load;
mod load_test;
mod maintenance;
mod metrics;
mod processor;
mod queue_stats;
mod rate_limiter;
mod route;
mod search;
mod stream;
mod tail;
mod watch;

use pyo3::prelude::*;

#[pymodule]
fn _forebay(module: &Bound<'_, PyModule>) -> PyResult<()> {
    allocator::keep_pages();
    module.add_class::<maintenance::ReadProgress>()?;
    module.add_class::<rate_limiter::RateLimiter>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<engine::Projects>()?;
    module.add_class::<engine::Receipt>()?;
    module.add_class::<route::IngestRoute>()?;
    module.add_class::<search::SearchCancel>()?;
    module.add_class::<search::ExportColumns>()?;
    module.add_class::<front::MemoryBudget>()?;
    module.add_class::<front::Front>()?;
    module.add_class::<front::Reserved>()?;
    module.add_class::<front::Tunnel>()?;
    module.add_class::<stream::StreamDescription>()?;
    module.add_class::<batch::RecordBatch>()?;
    module.add_class::<queue_stats::QueueStats>()?;
    module.add_class::<tail::Filter>()?;
    module.add_class::<tail::TailChunk>()?;
    module.add_class::<consumer::Consumed>()?;
    module.add_class::<consumer::GroupDescription>()?;
    module.add_class::<consumer::Polled>()?;
    module.add_function(wrap_pyfunction!(allocator::keep_heap, module)?)?;
    module.add_function(wrap_pyfunction!(load::run_load, module)?)?;
    module.add_function(wrap_pyfunction!(maintenance::verify, module)?)?;
    module.add_function(wrap_pyfunction!(maintenance::repair, module)?)?;
    module.add_function(wrap_pyfunction!(processor::processor_definition, module)?)?;
    module.add_function(wrap_pyfunction!(front::refusal, module)?)?;
    module.add_function(wrap_pyfunction!(front::family_of, module)?)?;
    module.add_function(wrap_pyfunction!(front::family_row, module)?)?;
    module.add_function(wrap_pyfunction!(search::export_head, module)?)?;
    module.add_function(wrap_pyfunction!(route::ingest_routes, module)?)?;
    module.add_function(wrap_pyfunction!(error::error_table, module)?)
}
