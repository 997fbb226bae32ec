create table conversations (id text primary key, name text, model text);
create table responses (
 id text primary key, model text, prompt text, system text, prompt_json text, options_json text, response text,
 response_json text, conversation_id text references conversations (id), duration_ms integer, datetime_utc text);
insert into conversations values ('c', null, 'm');
insert into responses values ('r', 'm', 'hello', null, null, null, 'hi', null, 'c', 5, '2023-08-01T10:00:00.123456');
