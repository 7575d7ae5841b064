//! One librdkafka client: its handle, its log and error callbacks, its end. All roles build on it.
//!
//! Callbacks of errors, deliveries and rebalances run only inside calls that serve the client, on the
//! calling thread; logs come from librdkafka's own threads, and so do requests for tokens (`oauth`), the only
//! callback that calls user code beside the subscriber of logs. No panic leaves a callback.
#![expect(unsafe_code, reason = "the handle belongs to a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafka, RDKafkaConf, RDKafkaRespErr, RDKafkaType};

use super::client_config::ClientConfig;
use super::errors::{at_its_end, broker_error_with, configuration_error, failed};
use super::oauth::{OAuthTokens, on_token_wanted};
use crate::broker::{BrokerError, BrokerErrorKind};

/// What a kind of client adds: state for its callbacks, and the callbacks.
pub(super) trait Role: Send + Sync + 'static {
    /// Consumer or producer, as librdkafka sees it.
    const KIND: RDKafkaType;

    /// Registers the role's callbacks. Their opaque is the client's [`Context`].
    ///
    /// # Safety
    /// `conf` must be a live configuration object.
    unsafe fn register(_conf: *mut RDKafkaConf) {}
}

/// What callbacks see.
pub(super) struct Context<R> {
    pub(super) role: R,
    fatal: OnceLock<(RDKafkaErrorCode, String)>,
    /// The latest error that was not fatal; written by callbacks, read where a wait ends.
    last_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
    tokens: Option<Arc<dyn OAuthTokens>>,
}

impl<R> Context<R> {
    /// The context behind a callback's opaque.
    ///
    /// # Safety
    /// `opaque` must come from a callback of a client with role `R`, and the borrow must end with the
    /// callback: the context lives as long as its client.
    pub(super) unsafe fn from_opaque<'a>(opaque: *const c_void) -> &'a Self {
        // SAFETY: the caller vouches for type and life time.
        unsafe { &*opaque.cast::<Self>() }
    }

    /// The latest error that was not fatal, in librdkafka's words.
    pub(super) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where tokens come from, if the client needs any.
    pub(super) fn tokens(&self) -> Option<&Arc<dyn OAuthTokens>> {
        self.tokens.as_ref()
    }
}

/// An owned librdkafka client.
pub(super) struct Client<R> {
    handle: NonNull<RDKafka>,
    context: Arc<Context<R>>,
}

// SAFETY: librdkafka's handles may be used from any thread, and the context is `Send + Sync`.
unsafe impl<R: Role> Send for Client<R> {}
// SAFETY: as above.
unsafe impl<R: Role> Sync for Client<R> {}

impl<R: Role> Client<R> {
    /// Starts a client with its threads. It connects by itself, and keeps trying.
    pub(super) fn new(config: &ClientConfig, role: R) -> Result<Self, BrokerError> {
        let what = format!("cannot start client {}", config.get("client.id").unwrap_or_default());
        let tokens = config.tokens().cloned();
        let last_error = Mutex::default();
        let context = Arc::new(Context { role, fatal: OnceLock::new(), last_error, tokens });
        let conf = config.native().map_err(|e| configuration_error(e, &what))?;
        let mut reason = [0; REASON_LEN];
        // SAFETY: `conf` is live; the context is freed only after the client is destroyed; the
        // client takes the configuration over only when it could be made.
        let handle = unsafe {
            sys::rd_kafka_conf_set_opaque(conf.ptr(), Arc::as_ptr(&context).cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(conf.ptr(), Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf.ptr(), Some(on_error::<R>));
            R::register(conf.ptr());
            if context.tokens.is_some() {
                let conf = conf.ptr();
                sys::rd_kafka_conf_set_oauthbearer_token_refresh_cb(
                    conf,
                    Some(on_token_wanted::<R>),
                );
            }
            sys::rd_kafka_conf_enable_sasl_queue(conf.ptr(), config.uses_tokens().into());
            sys::rd_kafka_new(R::KIND, conf.ptr(), reason.as_mut_ptr(), reason.len())
        };
        let Some(handle) = NonNull::new(handle) else {
            let message = format!("{what}: {}", text(reason.as_ptr()));
            return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
        };
        mem::forget(conf);
        let client = Self { handle, context };
        if config.uses_tokens() {
            client.ask_for_tokens_in_the_background(&what)?;
        }
        Ok(client)
    }

    /// From now on a thread of librdkafka asks for tokens: nobody has to serve the client for it.
    fn ask_for_tokens_in_the_background(&self, what: &str) -> Result<(), BrokerError> {
        // SAFETY: the client is live; the error, if any, is read and destroyed once.
        unsafe {
            let error = sys::rd_kafka_sasl_background_callbacks_enable(self.handle());
            if error.is_null() {
                return Ok(());
            }
            let reason = text(sys::rd_kafka_error_string(error));
            sys::rd_kafka_error_destroy(error);
            Err(BrokerError::new(BrokerErrorKind::Invalid, format!("{what}: {reason}")))
        }
    }

    pub(super) fn handle(&self) -> *mut RDKafka {
        self.handle.as_ptr()
    }

    pub(super) fn context(&self) -> &Context<R> {
        &self.context
    }

    /// Runs the callbacks that are due; waits up to `timeout` for the first.
    pub(super) fn serve(&self, timeout: Duration) {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_poll(self.handle(), millis(timeout)) };
    }

    /// Asks any broker who is there.
    pub(super) fn reach(&self, timeout: Duration) -> Result<(), RDKafkaErrorCode> {
        let mut metadata = ptr::null();
        // SAFETY: the handle is live; what the call returns is freed, once.
        let error = unsafe {
            let handle = self.handle();
            let error = sys::rd_kafka_metadata(
                handle,
                0,
                ptr::null_mut(),
                &raw mut metadata,
                millis(timeout),
            );
            if !metadata.is_null() {
                sys::rd_kafka_metadata_destroy(metadata);
            }
            error
        };
        failed(error).map_or(Ok(()), Err)
    }

    /// Fails once the client cannot go on.
    pub(super) fn check(&self) -> Result<(), BrokerError> {
        match self.context.fatal.get() {
            None => Ok(()),
            Some((code, reason)) => {
                let error = broker_error_with(*code, "the Kafka client cannot go on", reason);
                Err(at_its_end(&error, *code))
            }
        }
    }
}

impl<R> Drop for Client<R> {
    fn drop(&mut self) {
        // SAFETY: whoever holds topics, queues or messages of this client holds the client as well
        // and releases them first.
        unsafe { sys::rd_kafka_destroy(self.handle.as_ptr()) };
    }
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the handle is live, and so is its name.
        let name = unsafe { sys::rd_kafka_name(self.handle.as_ptr()) };
        f.debug_tuple("Client").field(&text(name)).finish()
    }
}

/// Room for librdkafka's reasons.
pub(super) const REASON_LEN: usize = 512;

/// A C string as text; null is empty.
pub(super) fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's strings end with a zero byte and live through the call that gave them.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// Text as a C string.
pub(super) fn c_string(text: &str) -> Result<CString, BrokerError> {
    CString::new(text).map_err(|error| {
        let message = format!("{text:?} has a zero byte");
        BrokerError::new(BrokerErrorKind::Invalid, message).with_source(error)
    })
}

/// librdkafka's milliseconds.
pub(super) fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}

/// The end of a bounded wait. A real broker answers in real time, whatever clock tasks run on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    pub(super) fn after(timeout: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(u32::MAX.into())))
    }

    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(super) fn passed(self) -> bool {
        self.left().is_zero()
    }
}

unsafe extern "C" fn on_log(
    client: *const RDKafka,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: librdkafka passes a live client, or null before there is one.
    let name =
        if client.is_null() { String::new() } else { text(unsafe { sys::rd_kafka_name(client) }) };
    let (facility, message) = (text(facility), text(message));
    // librdkafka's "error" is a connection that failed and is tried again; what cannot be mended comes
    // back from calls.
    tell(|| match level {
        ..=2 => tracing::error!(target: "librdkafka", client = name, facility, "{message}"),
        3 | 4 => tracing::warn!(target: "librdkafka", client = name, facility, "{message}"),
        5 | 6 => tracing::info!(target: "librdkafka", client = name, facility, "{message}"),
        _ => tracing::debug!(target: "librdkafka", client = name, facility, "{message}"),
    });
}

/// A subscriber that panics, because the disk of its log is full for example, must not do so through the C
/// library: that would abort the process.
fn tell(log: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(log)).ok();
}

unsafe extern "C" fn on_error<R: Role>(
    client: *mut RDKafka,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: registered by `Client::<R>::new`, used within the callback.
    let context = unsafe { Context::<R>::from_opaque(opaque) };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__FATAL as c_int {
        let mut why = [0; REASON_LEN];
        // SAFETY: the client is live and the buffer has the length given.
        let code = unsafe { sys::rd_kafka_fatal_error(client, why.as_mut_ptr(), why.len()) };
        let fatal = (RDKafkaErrorCode::from(code), text(why.as_ptr()));
        tell(|| tracing::error!(target: "librdkafka", code = %fatal.0, "{}", fatal.1));
        context.fatal.get_or_init(|| fatal);
    } else {
        let reason = text(reason);
        tell(|| tracing::warn!(target: "librdkafka", "{reason}"));
        let mut last = context.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down says less than what happened to the last of them.
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as c_int || last.is_none() {
            let code = RDKafkaRespErr::try_from(code);
            *last = Some((code.map_or(RDKafkaErrorCode::Unknown, Into::into), reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Stands for one whose disk is full.
    struct Broken;

    impl Subscriber for Broken {
        fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _span: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _span: &Id, _values: &Record<'_>) {}
        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
        fn event(&self, _event: &Event<'_>) {
            panic!("this line has nowhere to go");
        }
        fn enter(&self, _span: &Id) {}
        fn exit(&self, _span: &Id) {}
    }

    #[test]
    fn a_log_that_panics_does_not_do_so_through_the_c_library() {
        tracing::subscriber::with_default(Broken, || {
            // SAFETY: no client, and texts that end with a zero byte.
            unsafe { on_log(ptr::null(), 3, c"FAIL".as_ptr(), c"connection refused".as_ptr()) };
        });
    }
}
