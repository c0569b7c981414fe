local M = {}
local scale, total = 10, 0
function M.counter(step)
    local n = 0
    return function()
        n = n + step * scale
        total = total + 1
        return "new", n
    end
end
function M.total() return total, scale end
return M
