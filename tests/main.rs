mod miners;
