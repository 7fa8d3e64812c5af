-- wrk … -s hosts.lua URL -- COOKIE HOST HOST …  asks the hosts in turn, from any on
local requests, at = {}, 0

function init(arguments)
  for i = 2, #arguments do
    requests[i - 1] = wrk.format("GET", "/", { Host = arguments[i], Cookie = arguments[1] })
  end
  math.randomseed(os.time())
  at = math.random(#requests)
end

function request()
  at = at % #requests + 1
  return requests[at]
end
