-- Shapes that drones come in, and what is needed to make them.
--
-- Lengths are in units, angles in radians, clockwise from the right; y grows down.

-- What nobody changed while the game ran takes the value that is written here.
local F = { __reload = { untouched = "new" } }

-- The ship's entity, and its position. Nothing after the end of a game.
function F.ship()
    for ship, at in world:query { "Position", with = "Ship" } do
        return ship, at[1]
    end
end

-- One drone that flies in a direction. Nothing if the arena is full.
function F.drone(kind, x, y, direction)
    local drones = world:resource("Tuning").drones
    if world:count("Drone") >= drones.most then
        return nil
    end
    local like = drones[kind:lower()]
    return world:spawn {
        Drone = { kind = kind, hull = like.hull, phase = math.random() * 2 * math.pi },
        Position = { { x = x, y = y } },
        Velocity = { { x = math.cos(direction) * like.speed, y = math.sin(direction) * like.speed } },
    }
end

-- Drones that a job brings in with one frame; the next frame goes on with the formation.
local AT_ONCE = 10

local function rest_after(made)
    if made % AT_ONCE == 0 and coroutine.isyieldable() then
        coroutine.yield()
    end
end

-- A circle around the ship that closes in. `gap` is the share of it that is left open, and
-- `toward` the direction in which.
function F.ring(what)
    local _, place = F.ship()
    if not place then
        return
    end
    -- Where the ship is now: it flies on while the circle comes in.
    local middle = { x = place.x, y = place.y }
    local open = math.pi * (what.gap or 0)
    for i = 1, what.count do
        local part = what.count > 1 and (i - 1) / (what.count - 1) or 0.5
        local angle = (what.toward or 0) + open + part * (2 * math.pi - 2 * open)
        local x, y = math.cos(angle) * what.radius, math.sin(angle) * what.radius
        F.drone(what.kind, middle.x + x, middle.y + y, angle + math.pi)
        rest_after(i)
    end
end

-- The walls: their middles, and the direction into the arena.
local walls = {
    left = { -1, 0, 0 },
    right = { 1, 0, math.pi },
    top = { 0, -1, math.pi / 2 },
    bottom = { 0, 1, -math.pi / 2 },
}

-- A wedge out of the middle of a wall, its tip first, that aims at the ship.
function F.wedge(what)
    local _, target = F.ship()
    if not target then
        return
    end
    local side = walls[what.from] or error("there is no wall `" .. tostring(what.from) .. "`", 2)
    local level = world:resource("Arena").level
    local gap = what.gap or 4
    local x, y = side[1] * level.width / 2, side[2] * level.height / 2
    local direction = math.atan(target.y - y, target.x - x)
    -- The tip as far inside as the wedge is deep.
    local into = side[3]
    x = x + math.cos(into) * gap * what.rows
    y = y + math.sin(into) * gap * what.rows
    local made = 0
    for row = 0, what.rows - 1 do
        for place = -row, row, 2 do
            local back, aside = -row * gap, place * gap / 2
            F.drone(
                what.kind,
                x + math.cos(into) * back - math.sin(into) * aside,
                y + math.sin(into) * back + math.cos(into) * aside,
                direction
            )
            made = made + 1
            rest_after(made)
        end
    end
end

-- The wall that is farthest from the ship.
function F.far_wall()
    local _, at = F.ship()
    if at and math.abs(at.x) > math.abs(at.y) then
        return at.x > 0 and "left" or "right"
    end
    return at and at.y > 0 and "top" or "bottom"
end

-- The place number `i` of `count` in a line across a direction, as far away as `distance`.
function F.in_line(i, count, distance, direction, gap)
    local aside = (i - 1 - (count - 1) / 2) * gap
    local c, s = math.cos(direction), math.sin(direction)
    return c * distance - s * aside, s * distance + c * aside
end

return F
