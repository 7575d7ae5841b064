//! The broker port on Apache Kafka: the only module that names rdkafka, and the only one with `unsafe`.
