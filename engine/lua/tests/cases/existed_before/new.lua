local function sort(t) t[1] = "sorted by the module" end
local function log(x) return "logged " .. x end
local M = { sort = function() return "own" end, same = math.floor, cfg = { own = true } }
function M.log(x) return log(x) end
function M.sorted(t) sort(t) return t end
return M
