local sort, log = table.sort, tostring
local M = { sort = table.sort, same = math.floor, cfg = math }
function M.log(x) return log(x) end
function M.sorted(t) sort(t) return t end
return M
