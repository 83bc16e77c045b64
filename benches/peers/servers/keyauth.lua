-- Key authentication in the way of gateways on nginx: looks up the credential's SHA-256 in a
-- dictionary that the workers share. Debian calls lua-resty-string's modules nginx.*; they use
-- OpenSSL's hash.
local json = require 'cjson.safe'
local sha256 = require 'nginx.sha256'

local keys = ngx.shared.keys
-- One state for all requests of a worker: no request yields while it hashes.
local state = sha256:new()

local function digest(text)
  state:reset()
  state:update(text)
  return state:final()
end

local function content_of(path)
  local file = assert(io.open(path, 'rb'))
  local content = file:read('*a')
  file:close()
  return content
end

local keyauth = {}

-- Fills the dictionary with `count` keys: the credential with its answer, and others.
function keyauth.load(credential, answer, count)
  answer = content_of(answer)
  assert(keys:safe_set(digest(content_of(credential)), answer))
  for other = 2, count do
    assert(keys:safe_set(digest('another_key_' .. other), answer))
  end
end

function keyauth.verify()
  ngx.req.read_body()
  local question = json.decode(ngx.req.get_body_data())
  local credential = question and question.credential
  local answer = type(credential) == 'string' and keys:get(digest(credential))
  if not answer then
    return ngx.exit(ngx.HTTP_UNAUTHORIZED)
  end
  ngx.header.content_length = #answer
  ngx.print(answer)
end

return keyauth
