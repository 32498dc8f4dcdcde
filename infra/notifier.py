"""The notifier of a worker, from settings."""

import time
from collections.abc import Callable

import faust

from connectors.group_options import GroupOptions
from connectors.kafka_commands import CommandReader
from connectors.kafka_ends import KafkaEnds
from connectors.kafka_log import KafkaLog
from connectors.kafka_transactions import KafkaTransactions, TransactionOptions
from connectors.notify.channels_file import ChannelsFile
from connectors.notify.configuration import BadChannels
from connectors.prometheus import PrometheusMonitor
from infra import compose, deciders
from infra.settings import SettingError, Settings, variable
from schemas import contract as contracts
from schemas.alert_messages import ALERTS
from schemas.log import TopicPartition
from schemas.notification_messages import NOTIFICATIONS_TOPIC
from schemas.rule_messages import RULE_EVENTS
from streams.live import Carrier
from streams.live_notifier import NAME, LiveNotifier
from streams.notify.notifier import Journal, Notifier
from streams.notify.sender import ThreadSender

OnLost = Callable[[TopicPartition, Exception], None]


def attach_notifier(app: faust.App, settings: Settings, index: int, monitor: PrometheusMonitor) -> LiveNotifier:
    """Run the notifier in worker `index`. Of all workers one tells people, the others stand by.

    Raises:
        SettingError: the channel file can't be used.
    """
    try:
        channels = ChannelsFile(settings.channels_file, variable)
    except BadChannels as error:
        raise SettingError(str(error)) from None
    member = f"fleetlog.{NAME}.{index}"
    schemas = compose.registry(settings)
    journal = Journal(
        KafkaLog(settings.kafka, batch_records=2_000, queued_kilobytes=4_096),
        deciders.codecs(contracts.load(), schemas, (ALERTS, NOTIFICATIONS_TOPIC, RULE_EVENTS)),
        KafkaTransactions(TransactionOptions(settings.kafka, member, settings.session_timeout)),
        KafkaEnds(settings.kafka).end_of,
    )
    notifier = Notifier(
        journal, channels, ThreadSender(channels), f"worker-{index}", lambda: time.time_ns() // 1_000, monitor.notified
    )
    options = GroupOptions(
        bootstrap_servers=settings.kafka,
        group=f"fleetlog.{NAME}",
        member=member,
        topics=(NOTIFICATIONS_TOPIC,),
        seconds=0.0,
        session_timeout=settings.session_timeout,
    )
    live = LiveNotifier(
        notifier, lambda start_of, deliver, on_lost: CommandReader(options, start_of, deliver, on_lost), monitor
    )
    app.service(Carrier(live))
    return live
