"""The documents that Kafka-REST v3 answers with, as Confluent's reference names them. `kind` is the name of each."""

import msgspec


class Related(msgspec.Struct):
    """Where more is."""

    related: str


class Metadata(msgspec.Struct):
    """Where a resource is, and its name."""

    self: str
    resource_name: str


class ListMetadata(msgspec.Struct):
    """Where a list is. It is always whole: there is no next part."""

    self: str
    next: None = None


class _Kind(msgspec.Struct, tag_field="kind", tag=True):
    """A document that says by its field `kind` what it is."""


class KafkaCluster(_Kind):
    """The cluster. What acls, broker_configs and partition_reassignments point at is not there."""

    metadata: Metadata
    cluster_id: str
    controller: Related | None
    acls: Related
    brokers: Related
    broker_configs: Related
    consumer_groups: Related
    topics: Related
    partition_reassignments: Related


class KafkaClusterList(_Kind):
    metadata: ListMetadata
    data: list[KafkaCluster]


class KafkaBroker(_Kind):
    """A broker. What configs and partition_replicas point at is not there."""

    metadata: Metadata
    cluster_id: str
    broker_id: int
    host: str | None
    port: int | None
    rack: str | None
    configs: Related
    partition_replicas: Related


class KafkaBrokerList(_Kind):
    metadata: ListMetadata
    data: list[KafkaBroker]


class KafkaTopic(_Kind):
    """A topic. What partition_reassignments points at is not there. A count of 0: as the cluster's defaults will say."""

    metadata: Metadata
    cluster_id: str
    topic_name: str
    is_internal: bool
    replication_factor: int
    partitions_count: int
    partitions: Related
    configs: Related
    partition_reassignments: Related


class KafkaTopicList(_Kind):
    metadata: ListMetadata
    data: list[KafkaTopic]


class KafkaPartition(_Kind):
    """A partition; leader is null while there is none. What reassignment points at is not there."""

    metadata: Metadata
    cluster_id: str
    topic_name: str
    partition_id: int
    leader: Related | None
    replicas: Related
    reassignment: Related


class KafkaPartitionList(_Kind):
    metadata: ListMetadata
    data: list[KafkaPartition]


class KafkaReplica(_Kind):
    """A partition's replica on a broker."""

    metadata: Metadata
    cluster_id: str
    topic_name: str
    partition_id: int
    broker_id: int
    is_leader: bool
    is_in_sync: bool
    broker: Related


class KafkaReplicaList(_Kind):
    metadata: ListMetadata
    data: list[KafkaReplica]


class ConfigSynonym(msgspec.Struct):
    """A value that a setting has from somewhere; the first of them counts."""

    name: str
    value: str | None
    source: str


class KafkaTopicConfig(_Kind):
    """A setting of a topic; the value of a secret is null."""

    metadata: Metadata
    cluster_id: str
    topic_name: str
    name: str
    value: str | None
    is_default: bool
    is_read_only: bool
    is_sensitive: bool
    source: str
    synonyms: list[ConfigSynonym]


class KafkaTopicConfigList(_Kind):
    metadata: ListMetadata
    data: list[KafkaTopicConfig]


class KafkaConsumerGroup(_Kind):
    """A consumer group."""

    metadata: Metadata
    cluster_id: str
    consumer_group_id: str
    is_simple: bool
    partition_assignor: str
    state: str
    coordinator: Related | None
    consumers: Related
    lag_summary: Related


class KafkaConsumerGroupList(_Kind):
    metadata: ListMetadata
    data: list[KafkaConsumerGroup]


class KafkaConsumer(_Kind):
    """A member of a consumer group."""

    metadata: Metadata
    cluster_id: str
    consumer_group_id: str
    consumer_id: str
    instance_id: str | None
    client_id: str
    assignments: Related


class KafkaConsumerList(_Kind):
    metadata: ListMetadata
    data: list[KafkaConsumer]


class KafkaConsumerAssignment(_Kind):
    """A partition that a member reads."""

    metadata: Metadata
    cluster_id: str
    consumer_group_id: str
    consumer_id: str
    topic_name: str
    partition_id: int
    partition: Related
    lag: Related


class KafkaConsumerAssignmentList(_Kind):
    metadata: ListMetadata
    data: list[KafkaConsumerAssignment]


class KafkaConsumerGroupLagSummary(_Kind):
    """The lag of a group, all of it and the longest, in the topics that the caller may read."""

    metadata: Metadata
    cluster_id: str
    consumer_group_id: str
    max_lag_consumer_id: str
    max_lag_instance_id: str | None
    max_lag_client_id: str
    max_lag_topic_name: str
    max_lag_partition_id: int
    max_lag: int
    total_lag: int
    max_lag_consumer: Related
    max_lag_partition: Related


class KafkaConsumerLag(_Kind):
    """How far a group is behind in a partition, in records; who reads it is "" while nobody does."""

    metadata: Metadata
    cluster_id: str
    consumer_group_id: str
    topic_name: str
    partition_id: int
    consumer_id: str
    instance_id: str | None
    client_id: str
    current_offset: int
    log_end_offset: int
    lag: int


class KafkaConsumerLagList(_Kind):
    metadata: ListMetadata
    data: list[KafkaConsumerLag]


V3_DOCUMENTS = (
    *(KafkaClusterList, KafkaCluster, KafkaBrokerList, KafkaBroker, KafkaTopicList, KafkaTopic),
    *(KafkaPartitionList, KafkaPartition, KafkaReplicaList, KafkaReplica, KafkaTopicConfigList, KafkaTopicConfig),
    *(KafkaConsumerGroupList, KafkaConsumerGroup, KafkaConsumerList, KafkaConsumer),
    *(KafkaConsumerAssignmentList, KafkaConsumerAssignment),
    *(KafkaConsumerLagList, KafkaConsumerLag, KafkaConsumerGroupLagSummary),
)
