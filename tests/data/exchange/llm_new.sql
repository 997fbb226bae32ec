create table messages (hash text primary key, parent_hash text references messages (hash), role text, provider_metadata text);
create table parts (
 id integer primary key, message_hash text, position integer, type text, tool_name text, text text, payload text);
create table fragments (id integer primary key, hash text, content text, datetime_utc text, source text);
create table attachments (id text primary key, type text, path text, url text, content blob);
create table threads (id text primary key, name text, tip_message_hash text, forked_from text, datetime_utc text);
create table turns (
 id text primary key, thread_id text, parent_message_hash text, tip_message_hash text, model text, resolved_model text,
 options_json text, schema_id text, input_tokens integer, output_tokens integer, token_details text,
 duration_ms integer, datetime_utc text, response_json text);
insert into messages values ('s', null, 'system', null), ('q1', 's', 'user', null), ('a1', 'q1', 'assistant', null),
 ('a1b', 'q1', 'assistant', null), ('q2', 'a1b', 'user', null), ('call', 'q2', 'assistant', null),
 ('ret', 'call', 'tool', null), ('a2', 'ret', 'assistant', null), ('fq', 'a1', 'user', null), ('fa', 'fq', 'assistant', null);
insert into fragments values (7, 'h', '片段', null, null);
insert into attachments values ('att', 'text/markdown', null, null, cast('# notes' as blob));
insert into parts (message_hash, position, type, tool_name, text, payload) values
 ('s', 0, 'text', null, 'You are a lamp.', null),
 ('q1', 0, 'text', null, null, '{"text_ref": [{"literal": "read: "}, {"fragment": 7}, {"literal": "!"}]}'),
 ('q1', 1, 'attachment', null, null, '{"attachment": {"id": "att"}}'),
 ('a1', 0, 'reasoning', null, 'private', null), ('a1', 1, 'text', null, 'first answer', null),
 ('a1b', 0, 'text', null, 'second answer', null),
 ('q2', 0, 'text', null, 'what time is it?', null),
 ('call', 0, 'tool_call', 'clock', null, '{"name": "clock", "arguments": {}}'),
 ('ret', 0, 'tool_result', 'clock', null, '{"name": "clock", "output": "12:00"}'),
 ('a2', 0, 'text', null, 'noon', null),
 ('fq', 0, 'text', null, 'another way', null), ('fa', 0, 'text', null, 'yes', null);
insert into threads values ('t1', 'lamps', 'a2', null, '2026-01-01 08:00:00.000000+00:00'),
 ('t2', 'forked', 'fa', 't1', '2026-01-02 08:00:00+00:00'), ('t3', 'no turn yet', null, null, '2026-01-03 08:00:00+00:00');
insert into turns values
 ('u1', 't1', 'q1', 'a1', 'm', null, null, null, 5, 10, null, 2000, '2026-01-01T08:00:01+00:00', null),
 ('u2', 't1', 'q1', 'a1b', 'm', null, null, null, 5, 20, null, 1000, '2026-01-01T08:00:05+00:00', null),
 ('u3', 't1', 'q2', 'a2', 'm', null, null, null, 9, 1, null, 100, '2026-01-01T08:01:00+00:00', null),
 ('u4', 't2', 'fq', 'fa', 'm', null, null, null, 9, 1, null, 100, '2026-01-02T08:01:00+00:00', null);
