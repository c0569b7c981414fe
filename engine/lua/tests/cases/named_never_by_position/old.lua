local M = {}
function M.make()
    local function first() return "old first" end
    local function second() return "old second" end
    return first, second
end
return M
