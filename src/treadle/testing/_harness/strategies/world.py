"""What the commands of a history may refer to."""

from dataclasses import dataclass, field

from hypothesis import strategies as st


@dataclass(frozen=True)
class World:
    """What commands may refer to: things that are there, and some that were."""

    now: int
    entry_ids: list[str] = field(default_factory=list)
    claims: list[tuple[str, str]] = field(default_factory=list)
    """Entries' ids and the tokens they are or were claimed with."""
    generations: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    documents: dict[tuple[str, ...], int] = field(default_factory=dict)
    """The versions of documents, by their collections and keys."""

    def known_entry_ids(self) -> st.SearchStrategy[str]:
        """Any of them, and one that may not be there."""
        return st.sampled_from([*self.entry_ids, "e0"])

    def known_claims(self) -> st.SearchStrategy[tuple[str, str]]:
        """Mostly the newest ones."""
        newest = [*self.claims[-3:], ("e0", "wrong")]
        return st.sampled_from(newest) | st.sampled_from([*self.claims, newest[-1]])
