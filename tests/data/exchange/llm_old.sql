create table conversations (id text primary key, name text, model text);
create table responses (
 id text primary key, model text, prompt text, system text, prompt_json text, options_json text, response text,
 response_json text, conversation_id text references conversations (id), duration_ms integer, datetime_utc text,
 input_tokens integer, output_tokens integer, token_details text);
create table attachments (id text primary key, type text, path text, url text, content blob);
create table prompt_attachments (response_id text, attachment_id text, "order" integer);
create table fragments (id integer primary key, hash text, content text, datetime_utc text, source text);
create table prompt_fragments (response_id text, fragment_id integer, "order" integer);
create table system_fragments (response_id text, fragment_id integer, "order" integer);
insert into conversations values ('01talk', 'A talk about lamps', 'm');
insert into responses values
 ('02b', 'm', 'and now?', null, null, null, 'It is dark.', null, '01talk', 500, '2024-05-01T10:01:00+00:00', 40, 10, null),
 ('01a', 'm', '灯亮着吗', 'You are a lamp.', null, null, '亮着', null, '01talk', null, '2024-05-01T10:00:00', null, null, null),
 ('03c', 'm', 'alone', null, null, null, 'Alone.', null, null, 100, '2024-05-02T00:00:00+00:00', 3, 2, null),
 ('04d', 'm', '', null, null, null, '', null, 'empty', 100, '2024-05-03T00:00:00+00:00', 3, 0, null);
insert into attachments values ('ab12', 'text/plain', '/home/anna/notes.txt', null, cast('注意' as blob)),
 ('cd34', 'image/png', null, 'https://example.org/lamp.png?size=2', null);
insert into prompt_attachments values ('02b', 'cd34', 1), ('02b', 'ab12', 0);
insert into fragments values (1, 'feedbeef00', 'a long text', null, '/home/anna/long.md'), (2, 'cafe123456', 'Be kind.', null, null);
insert into prompt_fragments values ('01a', 1, 0);
insert into system_fragments values ('01a', 2, 0);
