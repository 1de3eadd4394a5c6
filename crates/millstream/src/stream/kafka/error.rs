//! Why Kafka could not do what it was asked, and whether asking again helps.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over error codes of librdkafka, which grow")]

use millstream_core::ids::{Offset, StreamId, TopicPartition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why Kafka could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KafkaLogError {
    /// The settings do not make a client.
    #[error("`stream.kafka` cannot be used as it is: {reason}")]
    Settings {
        /// What is wrong.
        reason: String,
    },
    /// A file with a secret cannot be read.
    #[error("cannot read `{path}`, which `stream.kafka` names")]
    Secret {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody answers.
    #[error(
        "Kafka at `{brokers}` does not answer ({reason}): is the address of `stream.kafka.brokers` right, and does the broker run?"
    )]
    Unreachable {
        /// Address as in the pipeline file.
        brokers: String,
        /// The last thing that went wrong.
        reason: String,
    },
    /// The broker does not let us in.
    #[error(
        "Kafka at `{brokers}` refuses the login ({reason}): check `stream.kafka.sasl`, `stream.kafka.tls`, and that the broker's \
         listener wants them"
    )]
    Login {
        /// Address as in the pipeline file.
        brokers: String,
        /// What the broker says.
        reason: String,
    },
    /// A right is missing.
    #[error(
        "Kafka does not permit {principal} to {operation} ({reason}): give that user {right} (\"Rights\" in deploy/README.md lists all), or \
         name another user"
    )]
    NotPermitted {
        /// Who.
        principal: String,
        /// What was tried.
        operation: String,
        /// The right that is missing, and on what.
        right: String,
        /// What the broker says.
        reason: String,
    },
    /// A topic is not as it must be.
    #[error("the Kafka topic `{topic}` {problem}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it and the way out.
        problem: String,
    },
    /// A transaction did not come about; nothing of it will ever be seen.
    #[error("a transaction on Kafka did not come about ({reason})")]
    Aborted {
        /// What librdkafka says.
        reason: String,
    },
    /// Another producer has our transactional id, or the broker took it from us.
    #[error("the publisher was fenced ({reason})")]
    Fenced {
        /// What librdkafka says.
        reason: String,
    },
    /// Another process publishes in our place.
    #[error(
        "another process took over as publisher {index} of {count} of this stream, so this one ends. Nothing is lost; see that each \
         publisher is started once"
    )]
    TakenOver {
        /// Number of the publisher.
        index: u32,
        /// Of how many.
        count: u32,
    },
    /// Other publishers share the files now.
    #[error(
        "the files of this stream are shared by {now} publishers now, so publisher {index} of {count} ends. Nothing is lost: start \
         `millstream publish` for each of the {now}"
    )]
    Recounted {
        /// Number of the publisher.
        index: u32,
        /// Of how many.
        count: u32,
        /// How many there are now.
        now: u32,
    },
    /// It was not said which of several publishers this is.
    #[error(
        "the files of this stream are shared by {count} publishers: say which one this is, `--publisher 0/{count}` to \
         `--publisher {last}/{count}`, or `--publisher 0/1` if there is to be one only from now on"
    )]
    Shared {
        /// How many there are.
        count: u32,
        /// Number of the last.
        last: u32,
    },
    /// A file cannot be given to another publisher in the middle.
    #[error(
        "`{file}` is half published by publisher {publisher}, who alone knows its keys for `clean.dedup`: it cannot be given to another \
         when there are {count}. Start as many publishers as before until it is finished, then {count}"
    )]
    HalfPublished {
        /// The file.
        file: String,
        /// Its publisher.
        publisher: u32,
        /// How many publishers there were to be.
        count: u32,
    },
    /// The log begins behind what we have not read yet.
    #[error(
        "records of partition {at} expired before they were read: seq {expected} of publisher {publisher} was due, and the next that is \
         there is {found}. Their rows are lost from the log (was the topic's retention shortened, or were records deleted?); \
         `millstream verify` names them"
    )]
    Expired {
        /// Partition.
        at: TopicPartition,
        /// Publisher.
        publisher: u32,
        /// Seq that was due.
        expected: u64,
        /// What is there.
        found: String,
    },
    /// We are past the end.
    #[error(
        "the archive holds partition {at} of `{topic}` up to offset {archived}, but the topic ends at {end}: it was deleted and made \
         anew, or its end was lost. Bring the topic back, or start over with another `stream.topic` and another `archive.path`"
    )]
    PastEnd {
        /// Partition.
        at: TopicPartition,
        /// The topic.
        topic: String,
        /// Where we are.
        archived: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// The archive is of another topic than the one that another program writes now.
    #[error(
        "the archive table `{table}` has records of the Kafka topic with the id {found}, and `{topic}` has the id {id}: it was deleted and \
         made anew, it is on another cluster, or the archive was made before Millstream knew topics by their ids. Its offsets mean \
         other records now: name another `archive.path` to receive the topic from its beginning, or bring back the topic that the \
         archive belongs to"
    )]
    OtherTopic {
        /// The table.
        table: String,
        /// Id in the table.
        found: String,
        /// The topic.
        topic: String,
        /// Its id now.
        id: StreamId,
    },
    /// Something in a topic is not what this program writes.
    #[error(
        "the Kafka topic `{topic}` holds {what} at partition {partition}, offset {offset}; it may be of a newer version or of another program"
    )]
    Damaged {
        /// The topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// What.
        what: &'static str,
    },
    /// Rows of a topic that another program writes cannot be cleaned.
    #[error("partition {partition} of the topic `{topic}`: {reason}")]
    Clean {
        /// The topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Why, with the offset as the row's number.
        reason: String,
    },
    /// Something else.
    #[error("cannot {operation} (Kafka at `{brokers}`)")]
    Operation {
        /// What was tried.
        operation: String,
        /// Address as in the pipeline file.
        brokers: String,
        /// Why.
        source: Box<KafkaError>,
    },
}

impl KafkaLogError {
    /// Whether going on from what is durable may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Aborted { .. } | Self::Fenced { .. } | Self::Unreachable { .. } => true,
            Self::Operation { source, .. } => Kind::of(source) == Kind::Passing,
            Self::Settings { .. }
            | Self::Secret { .. }
            | Self::Login { .. }
            | Self::NotPermitted { .. }
            | Self::Topic { .. }
            | Self::TakenOver { .. }
            | Self::Recounted { .. }
            | Self::HalfPublished { .. }
            | Self::Shared { .. }
            | Self::Expired { .. }
            | Self::PastEnd { .. }
            | Self::OtherTopic { .. }
            | Self::Clean { .. }
            | Self::Damaged { .. } => false,
        }
    }

    /// Whether the user can put it right before anything runs.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Settings { .. }
            | Self::Secret { .. }
            | Self::Login { .. }
            | Self::NotPermitted { .. }
            | Self::Topic { .. }
            | Self::TakenOver { .. }
            | Self::Recounted { .. }
            | Self::HalfPublished { .. }
            | Self::Shared { .. }
            | Self::PastEnd { .. }
            | Self::OtherTopic { .. } => true,
            Self::Unreachable { .. }
            | Self::Aborted { .. }
            | Self::Fenced { .. }
            | Self::Expired { .. }
            | Self::Clean { .. }
            | Self::Damaged { .. }
            | Self::Operation { .. } => false,
        }
    }
}

/// What an error code means for what we do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It may pass: try again.
    Passing,
    /// The login is refused.
    Login,
    /// A right is missing.
    Right,
    /// The topic or partition is not there.
    NoTopic,
    /// The offset is not there.
    NoOffset,
    /// Another producer took the transactional id.
    Fenced,
}

impl Kind {
    pub(super) fn of(error: &KafkaError) -> Self {
        error.rdkafka_error_code().map_or(Self::Passing, Self::of_code)
    }

    pub(super) fn of_code(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::SSL => {
                Self::Login
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => Self::Right,
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => Self::NoTopic,
            Code::OffsetOutOfRange | Code::AutoOffsetReset => Self::NoOffset,
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => Self::Fenced,
            _ => Self::Passing,
        }
    }
}
