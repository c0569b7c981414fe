local M = {}
local function inner() coroutine.yield("old yield") return "old inner" end
function M.run(handler)
    local ok, result = pcall(inner)
    return result, handler()
end
function M.handler() return "old handler" end
return M
