local M = {}
function M.make()
    local function second() return "new second" end
    local function third() return "new third" end
    local function first() return "new first" end
    return first, second, third
end
return M
