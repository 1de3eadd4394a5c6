//! Kafka's own ids of topics. A topic that is deleted and made anew under its name has another id, and nothing else tells the
//! two apart.
//!
//! librdkafka tells the ids with `DescribeTopics`; rdkafka binds that call and does not wrap it. This crate is that one call, and
//! one of two places of the workspace with `unsafe` (the other is `malloc-bounds`).

use std::ffi::{CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaAdminOp, RDKafkaErrorCode};
use uuid::Uuid;

/// What the cluster says of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    /// It is there; its id, which is nil if the broker knows no ids (before Kafka 2.8).
    There(Uuid),
    /// It is not there.
    Gone,
    /// Why nobody can tell.
    Unknown(RDKafkaErrorCode),
}

/// How much longer than its request an answer is waited for: librdkafka tells by itself that a request timed out.
const GRACE: Duration = Duration::from_millis(500);

/// Asks the cluster for these topics; the answers are in the order of the names, which must differ. Takes `timeout` at most, and a
/// moment more. Blocks.
///
/// # Errors
/// Nobody answered, or the answer was not understood.
pub fn look<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<TopicState>, KafkaError> {
    let failed = |code| KafkaError::MetadataFetch(code);
    let names = topics.iter().map(|&name| CString::new(name)).collect::<Result<Vec<_>, _>>()?;
    let request = Request::new(client, &names, timeout).ok_or_else(|| failed(RDKafkaErrorCode::InvalidArgument))?;
    let answer = request.answer(timeout + GRACE).ok_or_else(|| failed(RDKafkaErrorCode::OperationTimedOut))?;
    let states = answer.states().map_err(failed)?;
    if states.len() == topics.len() { Ok(states) } else { Err(failed(RDKafkaErrorCode::BadMessage)) }
}

/// Something of librdkafka's that we must give back.
struct Owned<T> {
    pointer: NonNull<T>,
    give_back: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// None where librdkafka gave nothing.
    ///
    /// # Safety
    /// `pointer` is null, or ours, and `give_back` is how it is given back.
    #[expect(unsafe_code, reason = "what is owned cannot be told from a pointer")]
    unsafe fn new(pointer: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        Some(Self { pointer: NonNull::new(pointer)?, give_back })
    }

    fn pointer(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "a call of librdkafka")]
    fn drop(&mut self) {
        // SAFETY: it is ours (see `new`), and this is the only place that gives it back.
        unsafe { (self.give_back)(self.pointer()) }
    }
}

/// A request under way, with the queue that its answer comes to.
struct Request {
    queue: Owned<bindings::rd_kafka_queue_t>,
}

impl Request {
    /// None where librdkafka has no memory, or does not take the timeout.
    #[expect(unsafe_code, reason = "calls of librdkafka")]
    fn new<C: ClientContext>(client: &Client<C>, names: &[CString], timeout: Duration) -> Option<Self> {
        let native = client.native_ptr();
        // SAFETY: the client lives as long as its borrow.
        let queue = unsafe { bindings::rd_kafka_queue_new(native) };
        // SAFETY: a queue that was made is given back by `destroy`.
        let queue = unsafe { Owned::new(queue, bindings::rd_kafka_queue_destroy)? };
        let operation = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        // SAFETY: as for the queue.
        let options = unsafe { bindings::rd_kafka_AdminOptions_new(native, operation) };
        // SAFETY: options that were made are given back by `destroy`.
        let options = unsafe { Owned::new(options, bindings::rd_kafka_AdminOptions_destroy)? };
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut reason: [c_char; 512] = [0; 512];
        // SAFETY: the options live, and `reason` has as many bytes as is said.
        let taken = unsafe {
            bindings::rd_kafka_AdminOptions_set_request_timeout(
                options.pointer(),
                millis,
                reason.as_mut_ptr(),
                reason.len(),
            )
        };
        if RDKafkaErrorCode::from(taken) != RDKafkaErrorCode::NoError {
            return None;
        }
        let mut texts: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: these are as many texts with an end as is said, and librdkafka copies them.
        let topics = unsafe { bindings::rd_kafka_TopicCollection_of_topic_names(texts.as_mut_ptr(), texts.len()) };
        // SAFETY: a collection that was made is given back by `destroy`.
        let topics = unsafe { Owned::new(topics, bindings::rd_kafka_TopicCollection_destroy)? };
        // SAFETY: all four live; librdkafka copies names and options, and holds on to the queue by itself.
        unsafe {
            bindings::rd_kafka_DescribeTopics(native, topics.pointer(), options.pointer(), queue.pointer());
        }
        Some(Self { queue })
    }

    /// None when none came in time.
    #[expect(unsafe_code, reason = "calls of librdkafka")]
    fn answer(&self, timeout: Duration) -> Option<Answer> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue lives.
        let event = unsafe { bindings::rd_kafka_queue_poll(self.queue.pointer(), millis) };
        // SAFETY: an event that was polled is ours and given back by `destroy`.
        unsafe { Owned::new(event, bindings::rd_kafka_event_destroy) }.map(Answer)
    }
}

/// An answer; everything in it lives as long as it does.
struct Answer(Owned<bindings::rd_kafka_event_t>);

impl Answer {
    #[expect(unsafe_code, reason = "calls of librdkafka")]
    fn states(&self) -> Result<Vec<TopicState>, RDKafkaErrorCode> {
        // SAFETY: the event lives.
        let code = unsafe { bindings::rd_kafka_event_error(self.0.pointer()) };
        let code = RDKafkaErrorCode::from(code);
        if code != RDKafkaErrorCode::NoError {
            return Err(code);
        }
        // SAFETY: the event lives; null comes back if it is another kind of event.
        let result = unsafe { bindings::rd_kafka_event_DescribeTopics_result(self.0.pointer()) };
        if result.is_null() {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        let mut count = 0;
        // SAFETY: the result is of this kind, and lives as long as the event.
        let found = unsafe { bindings::rd_kafka_DescribeTopics_result_topics(result, &raw mut count) };
        if found.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: librdkafka tells an array of so many pointers, which lives as long as the event.
        let found = unsafe { std::slice::from_raw_parts(found, count) };
        Ok(found.iter().map(|&topic| state(topic)).collect())
    }
}

/// What stands in the description of a topic, which must live.
#[expect(unsafe_code, reason = "calls of librdkafka")]
fn state(topic: *const bindings::rd_kafka_TopicDescription_t) -> TopicState {
    if topic.is_null() {
        return TopicState::Unknown(RDKafkaErrorCode::BadMessage);
    }
    // SAFETY: the description is in an answer that the caller holds.
    let error = unsafe { bindings::rd_kafka_TopicDescription_error(topic) };
    if !error.is_null() {
        // SAFETY: the error is a part of the description.
        let code = unsafe { bindings::rd_kafka_error_code(error) };
        let code = RDKafkaErrorCode::from(code);
        if code == RDKafkaErrorCode::UnknownTopicOrPartition {
            return TopicState::Gone;
        }
        if code != RDKafkaErrorCode::NoError {
            return TopicState::Unknown(code);
        }
    }
    // SAFETY: the description is in an answer that the caller holds.
    let id = unsafe { bindings::rd_kafka_TopicDescription_topic_id(topic) };
    if id.is_null() {
        return TopicState::There(Uuid::nil());
    }
    // SAFETY: the id is a part of the description.
    let high = unsafe { bindings::rd_kafka_Uuid_most_significant_bits(id) };
    // SAFETY: as above.
    let low = unsafe { bindings::rd_kafka_Uuid_least_significant_bits(id) };
    TopicState::There(Uuid::from_u64_pair(high.cast_unsigned(), low.cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn nobody_who_answers_is_told_in_time_and_not_taken_for_a_topic_that_is_gone() {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
        let asked = look(consumer.client(), &["a", "b"], Duration::from_millis(300));
        assert!(matches!(asked, Err(KafkaError::MetadataFetch(_))), "{asked:?}");
        assert!(look(consumer.client(), &["a\0b"], Duration::from_millis(300)).is_err());
        assert_eq!(look(consumer.client(), &[], Duration::from_millis(300)), Ok(Vec::new()));
    }
}
