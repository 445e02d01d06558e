CREATE TABLE policies (ID INTEGER PRIMARY KEY, Name TEXT, Priority INT, Disabled INT);
CREATE TABLE policy_members (ID INTEGER PRIMARY KEY, PolicyID INT, Source TEXT, Destination TEXT, Disabled INT);
CREATE TABLE policy_groups (ID INTEGER PRIMARY KEY, Name TEXT, Disabled INT);
CREATE TABLE policy_group_members (ID INTEGER PRIMARY KEY, PolicyGroupID INT, Member TEXT, Disabled INT);
CREATE TABLE quotas (ID INTEGER PRIMARY KEY, PolicyID INT, Name TEXT, Track TEXT, Period INT, Verdict TEXT, Data TEXT, LastQuota INT, Disabled INT);
CREATE TABLE quotas_limits (ID INTEGER PRIMARY KEY, QuotasID INT, Type TEXT, CounterLimit INT, Disabled INT);
INSERT INTO policies VALUES (1,'Default',0,0),(2,'Newsletter',10,0),(3,'Old',10,1),(4,'Departments',10,0);
INSERT INTO policy_groups VALUES (1,'mailers',0);
INSERT INTO policy_group_members VALUES (1,1,'$news@stadt.example',0),(2,1,'$press@stadt.example',0);
INSERT INTO policy_members VALUES (1,1,'$*','any',0),(2,2,'%mailers','any',0),(3,3,'any','any',0),(4,4,'@amt.stadt.example','any',0);
INSERT INTO quotas VALUES (1,1,'hour','SASLUsername',3600,'DEFER','',0,0),(2,2,'day','SASLUsername',86400,'REJECT','',0,0),
 (3,1,'ip','SenderIP:/24',60,'DEFER','',0,0),(4,3,'old','SASLUsername',60,'DEFER','',0,0),(5,4,'dep','Sender:@domain',3600,'DEFER','',0,0);
INSERT INTO quotas_limits VALUES (1,1,'MessageCount',100,0),(2,1,'MessageCumulativeSize',250000,0),(3,2,'MessageCount',5000,0),
 (4,3,'MessageCount',1,0),(5,4,'MessageCount',1,0),(6,5,'MessageCount',900,0),(7,1,'MessageCount',1,1);
