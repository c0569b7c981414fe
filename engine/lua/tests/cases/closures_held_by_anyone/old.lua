local M = {}
local total = 0
function M.counter(step)
    local n = 0
    return function()
        n = n + step
        total = total + 1
        return "old", n
    end
end
function M.total() return total end
return M
