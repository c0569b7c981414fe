local M = {}
function M.run() coroutine.yield("new") return "new end" end
return M
