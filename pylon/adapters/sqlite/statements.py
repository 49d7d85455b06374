"""The SQL of one sort of machine. Lists come in as one JSON array, so each text is prepared once."""

from attrs import astuple, frozen


@frozen
class Statements:
    """Every statement, with {side} for the table's name until `on` fills it in."""

    # Reading
    load: str = """
        SELECT id, facts, phase, state, updated_at FROM {side} JOIN {side}_facts USING (n)
        WHERE id IN (SELECT value FROM json_each(?))"""
    find: str = """
        SELECT name, id FROM {side}_names JOIN {side} USING (n)
        WHERE name IN (SELECT value FROM json_each(?))"""
    due: str = "SELECT id FROM {side} WHERE due <= ? ORDER BY due, n"
    next_due: str = "SELECT min(due) FROM {side} WHERE due IS NOT NULL"
    outbox: str = """
        SELECT seq, id, desk, kind, body FROM {side}_outbox AS o JOIN {side} USING (n)
        WHERE desk = ? AND seq > ? ORDER BY seq LIMIT ?"""
    outbox_of: str = """
        SELECT seq, id, desk, kind, body FROM {side}_outbox AS o JOIN {side} USING (n)
        WHERE desk = ? AND seq > ? AND o.n = (SELECT n FROM {side} WHERE id = ?)
        ORDER BY seq LIMIT ?"""
    unfinished: str = "SELECT id FROM {side} INDEXED BY {side}_open WHERE final = 0 ORDER BY n"
    unfinished_of: str = "SELECT id FROM {side} WHERE final = 0 AND peer = ? ORDER BY n"
    recent: str = """
        SELECT id, facts, phase, state, updated_at FROM {side} JOIN {side}_facts USING (n)
        ORDER BY updated_at DESC, n DESC LIMIT ?"""
    in_phases: str = """
        SELECT id, facts, phase, state, updated_at FROM {side} JOIN {side}_facts USING (n)
        WHERE updated_at >= ? AND phase IN (SELECT value FROM json_each(?))
        ORDER BY updated_at, n"""
    count: str = "SELECT peer, count(*) FROM {side} WHERE phase = ? GROUP BY peer"
    open_in: str = """
        SELECT count(*) FROM {side} INDEXED BY {side}_open
        WHERE final = 0 AND phase IN (SELECT value FROM json_each(?))"""
    history: str = """
        SELECT at, phase, words FROM {side}_history
        WHERE n = (SELECT n FROM {side} WHERE id = ?) ORDER BY seq"""
    evidence: str = """
        SELECT event FROM {side}_evidence
        WHERE n = (SELECT n FROM {side} WHERE id = ?) ORDER BY seq"""

    # Writing
    known: str = "SELECT id, n, phase FROM {side} WHERE id IN (SELECT value FROM json_each(?))"
    taken: str = "SELECT name FROM {side}_names WHERE name IN (SELECT value FROM json_each(?))"
    last: str = "SELECT ifnull(max(n), 0) FROM {side}"
    begin: str = """
        INSERT INTO {side} (peer, phase, state, final, due, updated_at, id, n)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
    step: str = """
        UPDATE {side} SET
            peer = ifnull(nullif(?, ''), peer), phase = ?, state = ?, final = ?, due = ?,
            updated_at = ?
        WHERE n = ?"""
    keep_facts: str = "INSERT INTO {side}_facts (n, facts) VALUES (?, ?)"
    name: str = "INSERT INTO {side}_names (name, n) VALUES (?, ?) ON CONFLICT DO NOTHING"
    post: str = "INSERT INTO {side}_outbox (n, desk, kind, body) VALUES (?, ?, ?, ?)"
    ask: str = """
        INSERT INTO {side}_outbox (n, desk, kind, body) SELECT n, ?, ?, ? FROM {side} WHERE id = ?"""
    drop: str = "DELETE FROM {side}_outbox WHERE seq = ?"
    remember: str = """
        INSERT INTO {side}_history (n, at, phase, words) SELECT ?1, ?2, ?3, ?4
        WHERE (SELECT count(*) FROM {side}_history WHERE n = ?1) < ?5"""
    keep_event: str = """
        INSERT INTO {side}_evidence (n, event_id, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"""

    def on(self, table: str) -> "Statements":
        """Return the statements for one table and those that belong to it."""
        return Statements(*(sql.replace("{side}", table) for sql in astuple(self)))
