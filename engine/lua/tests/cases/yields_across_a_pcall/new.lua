local M = {}
local function inner() coroutine.yield("new yield") return "new inner" end
function M.run(handler)
    local ok, result = pcall(inner)
    return result, handler()
end
function M.handler() return "new handler" end
return M
