local M = {}
local function helper() return "new helper" end
function M.run()
    coroutine.yield("new body", helper())
end
return M
