"""PydanticAI: its conversations in a store.

`TreadleConversationStore` is a conversation store of PydanticAI::

    async with treadle.open_store("sqlite:///agents.db") as store:
        conversations = TreadleConversationStore(store)
        conversation = await conversations.load("c") or Conversation(conversation_id="c")
        result = await agent.run("Hello", conversation=conversation)
        await conversations.save(result, scope="anna")

A conversation is a document, and each of its messages is one. They are in the collection
`pydantic-ai`.
"""

from treadle.integrations._requirements import requires

with requires("treadle[pydantic-ai]"):
    from treadle.integrations.pydantic_ai._store import TreadleConversationStore

__all__ = ["TreadleConversationStore"]
