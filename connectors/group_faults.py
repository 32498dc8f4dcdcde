"""What can go wrong for a member of a consumer group that waiting does not help with."""

MOST_FENCES = 5
FENCES_SECONDS = 60.0


class Fenced(Exception):
    """The group knows another member of this name, and the client is of no use any more: a broker that came back without
    what it heard last, or a second process of the same name. Joining anew is the cure of the first; the second shows by
    MOST_FENCES of them within FENCES_SECONDS."""


class LostPosition(Exception):
    """The log no longer holds (or does not yet hold) the record at the view's position, or gave out earlier ones again."""
