"""Kafka-REST v3: settings of topics, shown and changed."""

from collections.abc import Mapping

from connectors.cluster import Setting
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.cluster_faults import told
from connectors.ingress.rest_topics import no_topic
from connectors.ingress.v3_bodies import ChangesIn, ValueIn, changes, text
from connectors.ingress.v3_links import Links
from connectors.ingress.v3_resources import ConfigSynonym, KafkaTopicConfig, KafkaTopicConfigList
from connectors.ingress.v3_scope import V3Scope, answer, nothing


class V3Configs:
    """The handlers. Whoever may see a topic may see its settings; who manages it may change them."""

    def __init__(self, scope: V3Scope) -> None:
        self._scope = scope

    async def all_configs(self, request: Request) -> Answer:
        """GET …/topics/-/configs: of all topics that the caller may see."""
        links = await self._scope.links(request)
        access = self._scope.topics.access
        names = sorted(name for name in await told(self._scope.cluster.topics()) if access.may_see(request.caller, name))
        settings = await told(self._scope.cluster.settings(names))
        found = [_config(links, topic, setting) for topic in sorted(settings) for setting in settings[topic]]
        return answer(KafkaTopicConfigList(links.listing("topics", "-", "configs"), found))

    async def configs(self, request: Request) -> Answer:
        """GET …/topics/{topic}/configs"""
        links = await self._scope.links(request)
        topic = request.arguments[1]
        await self._scope.partitions(request.caller, topic)
        found = [_config(links, topic, setting) for setting in (await self._settings(topic)).values()]
        return answer(KafkaTopicConfigList(links.listing("topics", topic, "configs"), found))

    async def config(self, request: Request) -> Answer:
        """GET …/topics/{topic}/configs/{name}"""
        links = await self._scope.links(request)
        topic, name = request.arguments[1:3]
        await self._scope.partitions(request.caller, topic)
        return answer(_config(links, topic, _named(name, topic, await self._settings(topic))))

    async def set(self, request: Request) -> Answer:
        """PUT …/topics/{topic}/configs/{name}"""
        await self._scope.links(request)
        topic, name = request.arguments[1:3]
        await self._scope.managed(request.caller, topic)
        value = text(name, (await self._scope.body(request, ValueIn)).value)
        return await self._alter(topic, {name: value})

    async def reset(self, request: Request) -> Answer:
        """DELETE …/topics/{topic}/configs/{name}"""
        await self._scope.links(request)
        topic, name = request.arguments[1:3]
        await self._scope.managed(request.caller, topic)
        return await self._alter(topic, {name: None})

    async def alter(self, request: Request) -> Answer:
        """POST …/topics/{topic}/configs:alter: all changes or none."""
        await self._scope.links(request)
        topic = request.arguments[1]
        await self._scope.managed(request.caller, topic)
        asked = await self._scope.body(request, ChangesIn)
        return await self._alter(topic, changes(asked), asked.validate_only)

    async def _alter(self, topic: str, changed: Mapping[str, str | None], dry: bool = False) -> Answer:
        settings = await self._settings(topic)
        for name in changed:
            _named(name, topic, settings)
        if changed and not await told(self._scope.cluster.changes.alter(topic, changed, dry)):
            raise no_topic(topic)
        return nothing()

    async def _settings(self, topic: str) -> dict[str, Setting]:
        found = await told(self._scope.cluster.settings([topic]))
        if topic not in found:
            raise no_topic(topic)
        return {setting.name: setting for setting in found[topic]}


def _named(name: str, topic: str, settings: Mapping[str, Setting]) -> Setting:
    if name not in settings:
        raise Fault(404, "CONFIG_NOT_FOUND", f"{topic} has no setting {name[:100]!r}")
    return settings[name]


def _config(links: Links, topic: str, setting: Setting) -> KafkaTopicConfig:
    return KafkaTopicConfig(
        metadata=links.resource(("topics", topic, "configs", setting.name), {"topic": topic, "config": setting.name}),
        cluster_id=links.cluster,
        topic_name=topic,
        name=setting.name,
        value=setting.value,
        is_default=setting.default,
        is_read_only=setting.read_only,
        is_sensitive=setting.sensitive,
        source=setting.source,
        synonyms=[ConfigSynonym(one.name, one.value, one.source) for one in setting.synonyms],
    )
