-- The keys of the axum server: the requested one, and others up to :count.
CREATE TABLE api_keys (
  key_id text PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  actor_id text NOT NULL,
  scopes text[] NOT NULL,
  metadata jsonb NOT NULL,
  status text NOT NULL,
  visibility text NOT NULL,
  issuer text NOT NULL,
  expire_time timestamptz NOT NULL
);

INSERT INTO api_keys
SELECT
  CASE number WHEN 1 THEN answer ->> 'key_id' ELSE 'another_key_' || number END,
  sha256(convert_to(CASE number WHEN 1 THEN :'credential' ELSE 'another_key_' || number END, 'UTF8')),
  answer ->> 'actor_id',
  ARRAY(SELECT jsonb_array_elements_text(answer -> 'scopes')),
  answer -> 'metadata',
  answer ->> 'status',
  answer ->> 'visibility',
  answer ->> 'issuer',
  (answer ->> 'expire_time')::timestamptz
FROM (SELECT :'answer'::jsonb AS answer) AS known, generate_series(1, :count) AS number;

VACUUM ANALYZE api_keys;
