local M = {}
local function helper() return "old helper" end
function M.run()
    local n = 1
    while n < 3 do
        coroutine.yield("old body", helper())
        n = n + 1
    end
    return "old end", helper()
end
return M
