//! How large, how many and how long may requests be?

use std::time::Duration;

/// Sizes in bytes, counts, times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A query. Default 8 KiB.
    pub query: usize,
    /// Hits of one answer. Default 200.
    pub hits: usize,
    /// Documents of one list. Default 500.
    pub documents: usize,
    /// Passages on either side of one that is shown in its document. Default 200.
    pub around: usize,
    /// Body of a request. Default 64 KiB.
    pub body: usize,
    /// Body of a request for embeddings. Default 4 MiB.
    pub embeddings_body: usize,
    /// Texts of one request for embeddings. Default 256.
    pub inputs: usize,
    /// A Markdown file that is rendered. Default 2 MiB.
    pub markdown: u64,
    /// Failures named in the status. Default 1,000.
    pub failures: usize,
    /// Connections at a time; more wait. Default 256.
    pub connections: usize,
    /// Streams of events at a time. Default 64.
    pub streams: usize,
    /// Requests that wait for a thread; more are turned away. Default 256.
    pub waiting: usize,
    /// Time for a request, its body included. Default 30 s.
    pub request: Duration,
    /// Time for a request for embeddings. Default 120 s.
    pub embeddings: Duration,
    /// Time a connection may take for the next request's head, or to take more of an answer. Default 30 s.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query: 8 << 10,
            hits: 200,
            documents: 500,
            around: 200,
            body: 64 << 10,
            embeddings_body: 4 << 20,
            inputs: 256,
            markdown: 2 << 20,
            failures: 1000,
            connections: 256,
            streams: 64,
            waiting: 256,
            request: Duration::from_secs(30),
            embeddings: Duration::from_secs(120),
            idle: Duration::from_secs(30),
        }
    }
}
